//! The platform and the option of a builder name.

use crate::buildbot::vocabulary::{
    DEVICE_IMAGE, LEXICON, LINUX, LINUX32, LINUX64, Lexeme, MACHINES, OPTIONS, OTHER, PLATFORM_TABLE, Platform,
    Variant, starts_word,
};

/// The platform of a builder name, if the grammar knows it, and the option.
///
/// The rank of a machine or an option is its place in the vocabulary: of several words in a name, the first counts.
pub(super) fn platform_and_option(name: &str) -> (Option<&'static Platform>, &'static str) {
    let lower = Lower::new(name);
    let text = lower.as_bytes();
    // The rank of the machine word and its place in the name.
    let mut machine: Option<(u8, usize)> = None;
    let mut option: Option<u8> = None;
    let mut variants = Variants::default();
    for at in 0..text.len() {
        if !text[at].is_ascii_alphanumeric() || !starts_word(text, at) {
            continue;
        }
        match LEXICON.prefixes(&text[at..]).next().map(|entry| entry.value) {
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

/// The words in a name that say which variant of a machine is meant. Each variant has a rule of its own for where its
/// word counts.
#[derive(Default)]
struct Variants {
    /// Directly behind a word that ends with 64: `x64 stylo`, `x86-64 Mulet`.
    behind_64: Option<Variant>,
    mulet: bool,
    /// Where the last `devedition` stands.
    devedition: Option<usize>,
    /// Where the first `stylo-disabled` stands.
    stylo_disabled: Option<usize>,
}

impl Variants {
    fn add(&mut self, variant: Variant, at: usize, text: &[u8]) {
        if self.behind_64.is_none() && text[..at].ends_with(b"64 ") {
            // Treeherder has no row for Linux with Stylo disabled: such jobs are in the row of Stylo.
            let variant = if variant == Variant::StyloDisabled { Variant::Stylo } else { variant };
            self.behind_64 = Some(variant);
        }
        match variant {
            Variant::Mulet => self.mulet = true,
            Variant::DevEdition => self.devedition = Some(at),
            Variant::StyloDisabled => self.stylo_disabled = self.stylo_disabled.or(Some(at)),
            _ => {}
        }
    }
}

/// The platform of a machine whose word stands at `at`.
fn platform(machine: usize, at: usize, text: &[u8], variants: &Variants) -> Option<&'static Platform> {
    let is_first_word = at == 0;
    let (machine, variant) = if machine == LINUX || machine == LINUX64 {
        // `x64`, `x86-64`, `linux64`: a 64 somewhere behind the word, though not as the very end of the name.
        let is_64 = machine == LINUX64
            || memchr::memmem::find(&text[at..], b"64").is_some_and(|offset| at + offset + 2 < text.len());
        match (is_64, variants.behind_64) {
            (true, Some(variant)) if is_first_word => (LINUX64, variant),
            (true, _) => (LINUX64, Variant::None),
            (false, _) if is_first_word && variants.mulet => (LINUX32, Variant::Mulet),
            (false, _) => (LINUX32, Variant::None),
        }
    } else if variants.devedition.is_some_and(|behind| behind > at) {
        (machine, Variant::DevEdition)
    } else if variants.stylo_disabled.is_some_and(|at| memchr::memmem::find(&text[at..], b"test").is_some()) {
        (machine, Variant::StyloDisabled)
    } else if variants.mulet && is_first_word {
        (machine, Variant::Mulet)
    } else {
        (machine, Variant::None)
    };
    let product = product(text).filter(|_| !is_first_word && text[at - 1] == b'_');
    let rows = [product, Some(variant), Some(Variant::None)];
    rows.into_iter().flatten().find_map(|variant| PLATFORM_TABLE[machine][variant as usize])
}

/// The product that an underscored name starts with.
fn product(text: &[u8]) -> Option<Variant> {
    let products =
        [(b"b2g".as_slice(), Variant::B2g), (b"graphene", Variant::Graphene), (b"horizon", Variant::Horizon)];
    products.into_iter().find_map(|(word, variant)| text.starts_with(word).then_some(variant))
}

/// The names of device images and release steps have no machine; their last word decides.
fn platform_without_machine(text: &[u8]) -> Option<&'static Platform> {
    const IMAGES: [&[u8]; 3] = [b"_dep", b"_nightly", b"_periodic"];
    const RELEASE_STEPS: [&[u8]; 6] =
        [b"_bncr_sub", b"_bouncer_aliases", b"_uptake_monitoring", b"_chcksms", b"_updates", b"_version_bump"];
    if text.starts_with(b"b2g") && IMAGES.iter().any(|end| text.ends_with(end)) {
        PLATFORM_TABLE[DEVICE_IMAGE][Variant::B2g as usize]
    } else if RELEASE_STEPS.iter().any(|end| text.ends_with(end)) {
        PLATFORM_TABLE[OTHER][Variant::None as usize]
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
