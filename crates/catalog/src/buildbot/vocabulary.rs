//! The vocabulary of builder names: the tables in `data/`, compiled in, and how a word is looked up in them.

/// A row of Treeherder's page: a platform, its operating system and its architecture.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Platform {
    /// For example `linux64` or `windows7-32-vm`.
    pub(crate) name: &'static str,
    /// `linux`, `mac`, `win`, `android`, `b2g`, or `-` for release steps.
    pub(crate) os: &'static str,
    /// `x86`, `x86_64`, `armv6`, `armv7`, or `-` for release steps.
    pub(crate) architecture: &'static str,
}

/// The heading that a job type stands under.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// For example `Mochitest e10s`.
    pub(crate) name: &'static str,
    /// For example `M-e10s`.
    pub(crate) symbol: &'static str,
}

/// What kind of job a builder does.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct JobType {
    /// For example `Mochitest Browser Chrome`.
    pub(crate) name: &'static str,
    /// The symbol without a chunk number, for example `bc`.
    pub(crate) symbol: &'static str,
    /// The group, where the type has one.
    pub(crate) group: Option<&'static Group>,
}

/// A word of the vocabulary. `shorter` is the place of the longest other phrase that this one starts with.
pub(crate) struct Entry<T: 'static> {
    pub(crate) phrase: &'static str,
    pub(crate) shorter: Option<u16>,
    pub(crate) value: T,
}

/// The meaning of a word of `lexicon.table`: the rank of a machine or of an option, or a variant.
#[derive(Clone, Copy)]
pub(crate) enum Lexeme {
    Machine(u8),
    Variant(Variant),
    Option(u8),
}

/// A flavour of a machine's platform. The numbers are the columns of `PLATFORM_TABLE`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    None,
    B2g,
    Graphene,
    Horizon,
    Mulet,
    Qr,
    Stylo,
    StyloSequential,
    StyloDisabled,
    DevEdition,
}

pub(crate) struct Suite {
    pub(crate) job_type: &'static JobType,
    /// Whether the word counts only at the end of the name.
    pub(crate) last: bool,
}

/// The forms in which a talos suite runs: what follows its word, in the order of `Talos::forms`.
pub(crate) const TALOS_FORMS: [&str; 7] =
    ["", "-metro", "-e10s", "-stylo-e10s", "-stylo-disabled-e10s", "-stylo-threads-e10s", "-profiling-e10s"];

pub(crate) struct Talos {
    /// Whether anything may follow the word.
    pub(crate) open: bool,
    pub(crate) forms: [Option<&'static JobType>; TALOS_FORMS.len()],
}

/// A B2G device's images: build and nightly, and the same for engineers.
pub(crate) struct Device {
    pub(crate) images: [&'static JobType; 2],
    pub(crate) engineering: Option<[&'static JobType; 2]>,
}

/// Words that are looked up by what a text starts with.
pub(crate) struct Lexicon<T: 'static> {
    /// The words, in order.
    pub(crate) entries: &'static [Entry<T>],
    /// For each byte, how many words start with a lesser one.
    starts: [u16; 257],
}

impl<T> Lexicon<T> {
    /// The words that `text` starts with, the longest first.
    ///
    /// Every word that `text` starts with sorts at or before `text`, and so does every longer one of them: the last
    /// word at or before `text` is therefore one of them or an extension of the longest.
    pub(crate) fn prefixes<'a>(&'static self, text: &'a [u8]) -> impl Iterator<Item = &'static Entry<T>> + use<'a, T> {
        let first = text.first().map_or(0, |byte| usize::from(*byte));
        let (from, to) = (usize::from(self.starts[first]), usize::from(self.starts[first + 1]));
        let at_or_before = self.entries[from..to].partition_point(|entry| entry.phrase.as_bytes() <= text);
        let mut next = (from + at_or_before).checked_sub(1).filter(|place| *place >= from);
        std::iter::from_fn(move || {
            loop {
                let entry = &self.entries[next?];
                next = entry.shorter.map(usize::from);
                if text.starts_with(entry.phrase.as_bytes()) {
                    return Some(entry);
                }
            }
        })
    }
}

/// Whether a word may start at this place: at the start of the name, or behind anything but a letter or a digit.
pub(crate) fn starts_word(name: &[u8], at: usize) -> bool {
    at == 0 || !name[at - 1].is_ascii_alphanumeric()
}

include!(concat!(env!("OUT_DIR"), "/vocabulary.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phrase_is_found_by_itself_and_with_anything_behind_it() {
        for entry in SUITES.entries {
            for text in [entry.phrase.to_owned(), format!("{}-1", entry.phrase), format!("{}~", entry.phrase)] {
                let found = SUITES.prefixes(text.as_bytes()).next().expect("found");
                assert_eq!(found.phrase, entry.phrase, "in {text}");
            }
        }
    }

    #[test]
    fn a_word_that_is_not_in_the_vocabulary_is_not_found() {
        for text in ["", "a", "moch", "zzz", "\u{ff}"] {
            assert!(SUITES.prefixes(text.as_bytes()).next().is_none(), "{text}");
        }
    }

    #[test]
    fn each_job_type_has_one_name() {
        let mut names: Vec<_> = JOB_TYPES.iter().map(|t| t.name).collect();
        names.dedup();
        assert_eq!(names.len(), JOB_TYPES.len());
    }
}
