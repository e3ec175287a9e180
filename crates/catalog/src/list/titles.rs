//! The titles of platforms, as Treeherder shows them.

include!(concat!(env!("OUT_DIR"), "/platform_titles.rs"));

/// The title of a platform, or its name if it has none. The platform with the suffix `-qr` is shown as the one without.
pub(super) fn platform_title(platform: &str) -> &str {
    let shown = platform.strip_suffix("-qr").unwrap_or(platform);
    TITLES.binary_search_by(|(known, _)| (*known).cmp(shown)).map_or(platform, |place| TITLES[place].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_has_the_title_of_its_row() {
        for (platform, title) in [
            ("linux2404-64", "Linux 24.04"),
            ("linux2404-64-qr", "Linux 24.04"),
            ("linux2404-64-shippable", "Linux 24.04 Shippable"),
            ("linux2404-64-shippable-qr", "Linux 24.04 Shippable"),
            ("linux64", "Linux"),
            ("linux-shippable", "Linux x86 Shippable"),
            ("linux32-shippable", "Linux x86 Shippable"),
            ("no-such-platform", "no-such-platform"),
            ("no-such-platform-qr", "no-such-platform-qr"),
            ("-qr", "-qr"),
            ("", ""),
        ] {
            assert_eq!(platform_title(platform), title);
        }
    }
}
