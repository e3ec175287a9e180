//! The grammar of Buildbot's builder names: a name becomes a platform, an option, a job type and a group, as Treeherder
//! showed them.
//!
//! Two families of names exist. `Ubuntu VM 12.04 x64 mozilla-central opt test mochitest-e10s-3` is a machine, a branch,
//! an option and, after ` test ` or ` talos `, a suite with its chunk. `b2g_mozilla-central_flame-kk_eng_nightly` and
//! its like join product, branch, device and kind with underscores. In both the words that matter may start only where
//! a word starts; which words there are is in `data/`.

use std::borrow::Cow;

use crate::vocabulary::{
    BUILDS, DEVICE_IMAGE, DEVICES, Device, EMULATOR_IMAGES, JobType, LEXICON, LINUX, LINUX32, LINUX64, Lexeme,
    MACHINES, OPTIONS, OTHER, Platform, SHOWN, SUITES, TALOS, TALOS_FORMS, Variant, prefixes,
};

/// What Treeherder showed where it knew no name for something.
pub const UNKNOWN: &str = "unknown";
/// What Treeherder showed where it knew no symbol for something.
pub const UNKNOWN_SYMBOL: &str = "?";

/// Symbols that give way to the chunk number: the third part of `M` is `3`, not `M3`.
const GIVE_WAY: [&str; 8] = ["M", "M-e10s", "M-csb", "M-oop", "Gij", "Gij-oop", "W", "W-e10s"];

/// What a builder name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classification<'n> {
    name: &'n str,
    platform: Option<&'static Platform>,
    option: &'static str,
    job_type: Option<&'static JobType>,
}

impl<'n> Classification<'n> {
    /// The platform; where the name holds none, its first 24 characters, as Treeherder did.
    pub fn platform(&self) -> &'n str {
        match self.platform {
            Some(platform) => platform.name,
            None => self.name.char_indices().nth(24).map_or(self.name, |(end, _)| &self.name[..end]),
        }
    }

    /// The operating system, or `unknown`.
    pub fn os(&self) -> &'static str {
        self.platform.map_or(UNKNOWN, |platform| platform.os)
    }

    /// The architecture, or `unknown`.
    pub fn architecture(&self) -> &'static str {
        self.platform.map_or(UNKNOWN, |platform| platform.architecture)
    }

    /// The option (build type): `opt`, `debug`, `pgo`, `asan`, `tsan`, `cc` or `addon`.
    pub fn option(&self) -> &'static str {
        self.option
    }

    /// The job type's name, or `unknown`.
    pub fn job_type_name(&self) -> &'static str {
        self.job_type.map_or(UNKNOWN, |job_type| job_type.name)
    }

    /// The job type's symbol with the chunk number, or `?`.
    pub fn job_type_symbol(&self) -> Cow<'n, str> {
        let Some(job_type) = self.job_type else { return Cow::Borrowed(UNKNOWN_SYMBOL) };
        match chunk(self.name) {
            None => Cow::Borrowed(job_type.symbol),
            Some(number) if GIVE_WAY.contains(&job_type.symbol) => Cow::Borrowed(number),
            Some(number) => Cow::Owned([job_type.symbol, number].concat()),
        }
    }

    /// The group's name, or `unknown`.
    pub fn job_group_name(&self) -> &'static str {
        self.job_type.and_then(|job_type| job_type.group).map_or(UNKNOWN, |group| group.name)
    }

    /// The group's symbol, or `?`.
    pub fn job_group_symbol(&self) -> &'static str {
        self.job_type.and_then(|job_type| job_type.group).map_or(UNKNOWN_SYMBOL, |group| group.symbol)
    }

    /// Whether the grammar knows both the platform and the job type.
    pub fn is_known(&self) -> bool {
        self.platform.is_some() && self.job_type.is_some()
    }
}

/// Classifies a builder name. Total: a name outside the grammar comes back with `unknown` where nothing is known.
/// Time is linear in the length of the name.
pub fn classify(name: &str) -> Classification<'_> {
    let (platform, option) = platform_and_option(name);
    let job_type = job_type(name);
    Classification { name, platform, option, job_type }
}

/// The digits behind the last hyphen of a name that ends with them.
fn chunk(name: &str) -> Option<&str> {
    let (_, number) = name.rsplit_once('-')?;
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some(number)
}

/// Where a word may start: at the start, and behind anything but a letter or a digit.
fn starts_word(name: &[u8], at: usize) -> bool {
    at == 0 || !name[at - 1].is_ascii_alphanumeric()
}

/// A machine word that was found: its rank, and where it stands.
type Found = (u8, usize);

fn platform_and_option(name: &str) -> (Option<&'static Platform>, &'static str) {
    let lower = Lower::new(name);
    let text = lower.as_bytes();
    let mut machine: Option<Found> = None;
    let mut option: Option<u8> = None;
    let mut variants = Variants::default();
    for at in 0..text.len() {
        if !text[at].is_ascii_alphanumeric() || !starts_word(text, at) || !MAY_START[usize::from(text[at])] {
            continue;
        }
        match prefixes(LEXICON, &text[at..]).next().map(|entry| entry.value) {
            Some(Lexeme::Machine(rank)) if machine.is_none_or(|(best, _)| rank < best) => machine = Some((rank, at)),
            Some(Lexeme::Option(rank)) if option.is_none_or(|best| rank < best) => option = Some(rank),
            Some(Lexeme::Variant(variant)) => variants.add(variant, at, text),
            _ => {}
        }
    }
    let platform = match machine {
        Some((rank, at)) => platform(MACHINES[usize::from(rank)], at, text, &variants),
        None => platform_without_machine(text),
    };
    (platform, option.map_or("opt", |rank| OPTIONS[usize::from(rank)]))
}

/// Which bytes some phrase of the lexicon starts with.
static MAY_START: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0;
    while i < LEXICON.len() {
        table[LEXICON[i].phrase.as_bytes()[0] as usize] = true;
        i += 1;
    }
    table
};

/// The variant words of a name that count, each by the rule of the machines that have it.
#[derive(Default)]
struct Variants {
    /// Directly behind a word that ends with 64: `x64 stylo`, `x86-64 Mulet`.
    behind_64: Option<Variant>,
    mulet: bool,
    /// Where the last `devedition` stands.
    devedition: Option<usize>,
    stylo_disabled: bool,
}

impl Variants {
    fn add(&mut self, variant: Variant, at: usize, text: &[u8]) {
        if self.behind_64.is_none() && text[..at].ends_with(b"64 ") {
            // Linux has no row for disabled Stylo: it stands on Stylo's own.
            let shown = if variant == Variant::StyloDisabled { Variant::Stylo } else { variant };
            self.behind_64 = Some(shown);
        }
        match variant {
            Variant::Mulet => self.mulet = true,
            Variant::DevEdition => self.devedition = Some(at),
            Variant::StyloDisabled => self.stylo_disabled = memchr::memmem::find(&text[at..], b"test").is_some(),
            _ => {}
        }
    }
}

fn platform(machine: usize, at: usize, text: &[u8], variants: &Variants) -> Option<&'static Platform> {
    let leads = at == 0;
    let (machine, variant) = if machine == LINUX || machine == LINUX64 {
        // `x64`, `x86-64`, `linux64`: a 64 somewhere behind the word, though not as the very end of the name.
        let is_64 = machine == LINUX64
            || memchr::memmem::find(&text[at..], b"64").is_some_and(|offset| at + offset + 2 < text.len());
        match (is_64, variants.behind_64) {
            (true, Some(variant)) if leads => (LINUX64, variant),
            (true, _) => (LINUX64, Variant::None),
            (false, _) if leads && variants.mulet => (LINUX32, Variant::Mulet),
            (false, _) => (LINUX32, Variant::None),
        }
    } else if variants.devedition.is_some_and(|behind| behind > at) {
        (machine, Variant::DevEdition)
    } else if variants.stylo_disabled {
        (machine, Variant::StyloDisabled)
    } else if variants.mulet && leads {
        (machine, Variant::Mulet)
    } else {
        (machine, Variant::None)
    };
    let product = product(text).filter(|_| !leads && text[at - 1] == b'_');
    let rows = [product, Some(variant), Some(Variant::None)];
    rows.into_iter().flatten().find_map(|variant| SHOWN[machine][variant as usize])
}

/// The product that an underscored name starts with.
fn product(text: &[u8]) -> Option<Variant> {
    let products =
        [(b"b2g".as_slice(), Variant::B2g), (b"graphene", Variant::Graphene), (b"horizon", Variant::Horizon)];
    products.into_iter().find_map(|(word, variant)| text.starts_with(word).then_some(variant))
}

/// Device images and release steps carry no machine: their last word tells.
fn platform_without_machine(text: &[u8]) -> Option<&'static Platform> {
    const IMAGES: [&[u8]; 3] = [b"_dep", b"_nightly", b"_periodic"];
    const RELEASE_STEPS: [&[u8]; 6] =
        [b"_bncr_sub", b"_bouncer_aliases", b"_uptake_monitoring", b"_chcksms", b"_updates", b"_version_bump"];
    if text.starts_with(b"b2g") && IMAGES.iter().any(|end| text.ends_with(end)) {
        SHOWN[DEVICE_IMAGE][Variant::B2g as usize]
    } else if RELEASE_STEPS.iter().any(|end| text.ends_with(end)) {
        SHOWN[OTHER][Variant::None as usize]
    } else {
        None
    }
}

/// A name in lower case (ASCII), without an allocation for names of usual length.
enum Lower {
    Short([u8; 120], usize),
    Long(Vec<u8>),
}

impl Lower {
    fn new(name: &str) -> Self {
        let mut short = [0; 120];
        match short.get_mut(..name.len()) {
            Some(space) => {
                space.copy_from_slice(name.as_bytes());
                space.make_ascii_lowercase();
                Self::Short(short, name.len())
            }
            None => Self::Long(name.as_bytes().to_ascii_lowercase()),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes, length) => &bytes[..*length],
            Self::Long(bytes) => bytes,
        }
    }
}

fn job_type(name: &str) -> Option<&'static JobType> {
    let talos = find_behind(name, " talos ");
    let tested = talos.or_else(|| find_behind(name, " test "));
    talos
        .and_then(talos_suite)
        .or_else(|| test_suite(tested.unwrap_or(name)))
        .or_else(|| device_image(name))
        .or_else(|| build(name))
}

/// What stands behind the first `mark`.
fn find_behind<'n>(name: &'n str, mark: &str) -> Option<&'n str> {
    memchr::memmem::find(name.as_bytes(), mark.as_bytes()).map(|at| &name[at + mark.len()..])
}

/// `chromez-stylo-e10s`: a talos suite, the machine it was tuned for, and its form.
fn talos_suite(suite: &str) -> Option<&'static JobType> {
    let suite = suite.strip_prefix("remote-").unwrap_or(suite);
    prefixes(TALOS, suite.as_bytes()).find_map(|entry| {
        let rest = &suite[entry.phrase.len()..];
        let rest = rest.strip_prefix("-osx").or_else(|| rest.strip_prefix("-snow")).unwrap_or(rest);
        let form = if entry.value.open {
            // The longest form that `rest` starts with; the plain form is the empty one.
            (0..TALOS_FORMS.len())
                .filter(|form| entry.value.forms[*form].is_some() && rest.starts_with(TALOS_FORMS[*form]))
                .max_by_key(|form| TALOS_FORMS[*form].len())
        } else {
            TALOS_FORMS.iter().position(|form| *form == rest)
        };
        entry.value.forms[form?]
    })
}

/// The suite that starts first in `text`, and of those that start there the longest.
fn test_suite(text: &str) -> Option<&'static JobType> {
    let bytes = text.as_bytes();
    (0..bytes.len()).filter(|at| bytes[*at].is_ascii_lowercase() && starts_word(bytes, *at)).find_map(|at| {
        prefixes(SUITES, &bytes[at..])
            .find(|entry| !entry.value.last || at + entry.phrase.len() == bytes.len())
            .map(|entry| entry.value.job_type)
    })
}

/// `b2g_BRANCH_DEVICE[_eng]_(dep|periodic|nightly)`: an image for a device or an emulator.
fn device_image(name: &str) -> Option<&'static JobType> {
    let rest = name.strip_prefix("b2g")?;
    let nightly = rest.contains("_nightly");
    let dependent = rest.contains("_dep") || rest.contains("_periodic");
    let emulator = rest.contains("_emulator");
    if !nightly && !dependent {
        return (emulator && rest.contains("_nonunified")).then_some(EMULATOR_IMAGES[2]);
    }
    let kind = usize::from(nightly);
    let devices = || rest.match_indices('_').filter_map(|(at, _)| prefixes(DEVICES, &rest.as_bytes()[at + 1..]).next());
    let unknown: &Device = &DEVICES[0].value;
    if rest.contains("_eng") {
        // A device that had no engineering builds is not told from an unknown one.
        let known = devices().find(|entry| rest.contains(&format!("_{}_eng", entry.phrase)));
        return known.and_then(|entry| entry.value.engineering).or(unknown.engineering).map(|images| images[kind]);
    }
    if emulator {
        return Some(EMULATOR_IMAGES[kind]);
    }
    let device = devices().find(|entry| !entry.phrase.is_empty()).map_or(unknown, |entry| &entry.value);
    Some(device.images[kind])
}

/// The first line of `builds.table` whose phrases all stand in the name.
fn build(name: &str) -> Option<&'static JobType> {
    let stands = |phrase: &&str| match phrase.strip_suffix('^') {
        Some(end) => name.ends_with(end),
        None => memchr::memmem::find(name.as_bytes(), phrase.as_bytes()).is_some(),
    };
    BUILDS.iter().find(|(phrases, _)| phrases.iter().all(stands)).map(|(_, job_type)| *job_type)
}
