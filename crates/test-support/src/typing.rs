//! Many names of jobs, and typing errors in them: the same for the same seed.

use catalog::{buildbot, sample};

const BUILDERS: usize = 65_888;
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789-./ ";

/// This many names of a dump of the real one's size, of all its projects.
pub fn names(count: usize) -> Vec<String> {
    let mut document = Vec::new();
    sample::write(BUILDERS, 1, &mut document).unwrap();
    let dump = buildbot::read(document.as_slice(), u64::MAX, &mut |_| ()).unwrap();
    let (projects, _) = dump.projects();
    let all: Vec<&str> = projects.values().flatten().map(|job| job.name).collect();
    (0..count).map(|number| all[number * all.len() / count].to_owned()).collect()
}

/// Makes typing errors, by chance from a seed. The generator is `SplitMix64`.
#[derive(Debug)]
pub struct Typist(pub u64);

impl Typist {
    /// A number below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    /// The name with this many errors. An error adds, omits or replaces a letter, or swaps two neighbours.
    pub fn type_name(&mut self, name: &str, errors: usize) -> String {
        let mut letters: Vec<char> = name.chars().collect();
        for _ in 0..errors {
            let at = self.roll(letters.len() - 1);
            let letter = char::from(LETTERS[self.roll(LETTERS.len())]);
            match self.roll(4) {
                0 => letters.insert(at, letter),
                1 => drop(letters.remove(at)),
                2 => letters[at] = letter,
                _ => letters.swap(at, at + 1),
            }
        }
        letters.into_iter().collect()
    }
}
