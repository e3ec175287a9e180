//! The names of a list's jobs: which names are there, and which one is meant by a name that is not.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use serde::Deserialize;

use crate::closest::closest;
use crate::listing::BadBody;

/// How many names that share the most words are looked at letter by letter.
const CANDIDATES: usize = 8;

/// The names of a list's jobs.
#[derive(Debug, Default)]
pub struct Names {
    /// In the order of their bytes.
    names: Vec<Box<str>>,
    /// In which names each word stands; made when somebody first asks for a name that is not there.
    words: OnceLock<HashMap<Box<str>, Vec<u32>>>,
}

#[derive(Deserialize)]
struct Body<'b> {
    #[serde(borrow)]
    results: Vec<Entry<'b>>,
}

#[derive(Deserialize)]
struct Entry<'b> {
    #[serde(borrow)]
    ref_data_name: Cow<'b, str>,
}

impl Names {
    /// These names.
    pub fn new(names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        let mut names: Vec<Box<str>> = names.into_iter().map(Into::into).collect();
        // A list has them in order, which is found out in one look at each.
        names.sort_unstable();
        names.dedup();
        Self { names, words: OnceLock::new() }
    }

    /// Those of a body as `jobs::write_body` makes it.
    ///
    /// # Errors
    /// It is none.
    pub fn read(body: &[u8]) -> Result<Self, BadBody> {
        let Body { results } = serde_json::from_slice(body)?;
        Ok(Self::new(results.into_iter().map(|job| job.ref_data_name)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether a job has this name.
    pub fn contains(&self, name: &str) -> bool {
        self.names.binary_search_by(|known| (**known).cmp(name)).is_ok()
    }

    /// The name that is meant by one that no job has, if any is near: of those that share the most words with it, the
    /// one with the fewest other letters. Time grows with how many names have its words, not with their letters: a
    /// thousand unknown names must not hold up an answer.
    pub fn closest(&self, name: &str) -> Option<&str> {
        let words = self.words.get_or_init(|| self.index());
        let mut shared = vec![0_u32; self.names.len()];
        let lower = name.to_lowercase();
        // Each word once: nobody makes this slow by saying one over and over.
        for word in lower.split_ascii_whitespace().collect::<BTreeSet<_>>() {
            for &place in words.get(word).into_iter().flatten() {
                shared[place as usize] += 1;
            }
        }
        let most = shared.iter().copied().max().filter(|most| *most > 0)?;
        let length = name.split_ascii_whitespace().count();
        let mut near: Vec<&str> =
            self.names.iter().zip(&shared).filter(|(_, count)| **count == most).map(|(name, _)| &**name).collect();
        // First those that have few words beside; else they stay in their order.
        near.sort_by_cached_key(|near| near.split_ascii_whitespace().count().abs_diff(length));
        near.truncate(CANDIDATES);
        closest(name, near, 1).pop()
    }

    fn index(&self) -> HashMap<Box<str>, Vec<u32>> {
        let mut words: HashMap<Box<str>, Vec<u32>> = HashMap::new();
        for (place, name) in (0_u32..).zip(&self.names) {
            for word in name.to_lowercase().split_ascii_whitespace() {
                let places = words.entry(word.into()).or_default();
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new([
            "Windows 7 32-bit try opt test mochitest-2",
            "Linux x86-64 try build",
            "Windows 7 32-bit try debug test mochitest-1",
            "Windows 7 32-bit try opt test mochitest-1",
            "test-linux64/opt-mochitest-1",
        ])
    }

    #[test]
    fn names_are_found_to_the_letter() {
        let names = names();
        assert_eq!(names.len(), 5);
        assert!(names.contains("Linux x86-64 try build") && names.contains("test-linux64/opt-mochitest-1"));
        for other in ["", "Linux x86-64 try buil", "Linux x86-64 try builds", "linux x86-64 try build"] {
            assert!(!names.contains(other), "{other}");
        }
    }

    #[test]
    fn the_closest_name_shares_the_most_words() {
        let names = names();
        for (asked, meant) in [
            ("Windows 7 32-bit try opt test mochitest-3", Some("Windows 7 32-bit try opt test mochitest-1")),
            ("Windows 7 32-bit try debug test mochitst-1", Some("Windows 7 32-bit try debug test mochitest-1")),
            ("WINDOWS 7 32-bit try opt test MOCHITEST-2", Some("Windows 7 32-bit try opt test mochitest-2")),
            ("Linux x86-64 try build ", Some("Linux x86-64 try build")),
            ("something else", None),
            ("try", None),
            ("", None),
        ] {
            assert_eq!(names.closest(asked), meant, "{asked}");
        }
    }

    #[test]
    fn they_are_read_from_a_lists_body() {
        let body =
            br#"{"meta": {}, "results": [{"platform": "x", "ref_data_name": "b \"q\""}, {"ref_data_name": "a"}]}"#;
        let names = Names::read(body).unwrap();
        assert!(names.len() == 2 && names.contains("b \"q\"") && names.contains("a"));
        assert!(Names::read(b"{}").is_err() && !Names::read(br#"{"results": []}"#).unwrap().contains(""));
    }
}
