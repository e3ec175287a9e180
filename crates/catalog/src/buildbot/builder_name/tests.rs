//! Builder names and what the grammar makes of them.

use proptest::prelude::*;

use super::*;
use crate::buildbot::vocabulary::{BEFORE_IMAGES, BUILDS, DEVICES, LEXICON, Lexeme, Lexicon, OPTIONS, SUITES, TALOS};

/// Asserts that each name has the platform, `platform os architecture`.
fn assert_platforms(expected: &[(&str, &str)]) {
    for (name, platform) in expected {
        let says = classify(name);
        let shown = format!("{} {} {}", says.platform(), says.os(), says.architecture());
        assert_eq!(shown, *platform, "of {name}");
    }
}

/// Asserts that each name has the job type and the group, `type symbol` and `group symbol`.
fn assert_job_types(expected: &[(&str, &str, &str)]) {
    for (name, job_type, group) in expected {
        let says = classify(name);
        assert_eq!(format!("{} {}", says.job_type_name(), says.job_type_symbol()), *job_type, "of {name}");
        assert_eq!(format!("{} {}", says.job_group_name(), says.job_group_symbol()), *group, "of {name}");
    }
}

fn assert_options(expected: &[(&str, &str)]) {
    for (name, option) in expected {
        assert_eq!(classify(name).option(), *option, "of {name}");
    }
}

#[test]
fn a_machine_word_decides_the_platform_wherever_a_word_may_start() {
    assert_platforms(&[
        ("Linux try build", "linux32 linux x86"),
        ("Ubuntu VM 12.04 try opt test xpcshell", "linux32 linux x86"),
        ("TB Linux comm-central build", "linux32 linux x86"),
        ("Firefox try macosx64 l10n", "osx-10-10 mac x86_64"),
        ("OS X 10.7 64-bit try build", "osx-10-7 mac x86_64"),
        ("Rev4 MacOSX Lion 10.7 try talos g1", "osx-10-7 mac x86_64"),
        ("Rev4 MacOSX Snow Leopard 10.6 try talos g1", "osx-10-6 mac x86_64"),
        ("Rev5 MacOSX Mountain Lion 10.8 try opt test jetpack", "osx-10-8 mac x86_64"),
        ("WINNT 5.2 try build", "windowsxp win x86"),
        ("WINNT 6.1 x86-64 try build", "windows8-64 win x86_64"),
        ("WINNT 6.2 try build", "windows8-32 win x86"),
        ("Windows 7 VM-GFX 32-bit try debug test reftest-gpu-e10s", "windows7-32-vm win x86"),
        ("Windows 10 64-bit try talos g1-e10s", "windows10-64 win x86_64"),
        ("Android armv7 API 9 try build", "android-2-3-armv7-api9 android armv7"),
        ("Android 2.2 Armv6 Tegra try opt test mochitest-1", "android-2-2-armv6 android armv6"),
        ("Android 4.2 x86 Emulator try opt test androidx86-set-4", "android-4-2-x86 android x86"),
        ("release-mozilla-beta-firefox-linux64_partner_repacks", "linux64 linux x86_64"),
    ]);
}

#[test]
fn case_does_not_matter_for_platform_and_option() {
    assert_platforms(&[
        ("WINDOWS 7 32-BIT try PGO talos g1", "windows7-32 win x86"),
        ("windows 7 32-bit try pgo talos g1", "windows7-32 win x86"),
    ]);
    assert_options(&[("WINDOWS 7 32-BIT try PGO talos g1", "pgo"), ("ubuntu asan vm 12.04 x64 try opt", "asan")]);
}

#[test]
fn a_machine_word_inside_another_word_does_not_count() {
    for name in ["Aulinux try build", "Nolion try build", "x2win64 try build"] {
        assert_eq!(classify(name).os(), UNKNOWN, "of {name}");
    }
}

#[test]
fn linux_is_64_bit_where_a_64_follows_but_not_at_the_end() {
    assert_platforms(&[
        ("Linux x86-64 try build", "linux64 linux x86_64"),
        ("Ubuntu VM 12.04 x64 try opt test xpcshell", "linux64 linux x86_64"),
        ("Firefox try linux64 l10n", "linux64 linux x86_64"),
        ("linux64-br-haz_try_dep", "linux64 linux x86_64"),
        ("mozilla-central-dxr", "linux64 linux x86_64"),
        ("Ubuntu VM 12.04 try opt test mochitest-64", "linux32 linux x86"),
        ("x64 Ubuntu VM 12.04 try opt test mochitest-1", "linux32 linux x86"),
    ]);
}

#[test]
fn variants_have_platforms_of_their_own() {
    assert_platforms(&[
        ("Linux x86-64 Mulet cedar build", "mulet-linux64 linux x86_64"),
        ("Linux Mulet cedar build", "mulet-linux32 linux x86"),
        ("OS X Mulet cedar non-unified", "mulet-osx mac x86_64"),
        ("Win32 Mulet try build", "mulet-win32 win x86"),
        ("Ubuntu HW 12.04 x64 qr try talos dromaeojs-e10s", "linux64-qr linux x86_64"),
        ("Ubuntu HW 12.04 x64 stylo try talos g3-stylo-e10s", "linux64-stylo linux x86_64"),
        ("Ubuntu HW 12.04 x64 stylo-sequential try talos g3-e10s", "linux64-stylo-sequential linux x86_64"),
        ("Ubuntu HW 12.04 x64 devedition mozilla-beta talos g3-e10s", "linux64-devedition linux x86_64"),
        ("Windows 7 32-bit DevEdition mozilla-beta talos tp5o-e10s", "windows7-32-devedition win x86"),
        ("WINNT 5.2 mozilla-beta devedition build", "windowsxp-devedition win x86"),
        ("Windows 10 64-bit stylo-disabled try opt test reftest-1", "windows10-64-stylo-disabled win x86_64"),
    ]);
}

#[test]
fn a_variant_that_a_machine_does_not_have_is_shown_on_the_machines_own_row() {
    assert_platforms(&[
        ("Linux x86-64 stylo-disabled try opt test xpcshell", "linux64-stylo linux x86_64"),
        ("Windows XP 32-bit stylo-disabled try opt test xpcshell", "windowsxp win x86"),
        ("Windows 10 64-bit stylo try opt test xpcshell", "windows10-64 win x86_64"),
        // The word stands in the suite, not behind the machine.
        ("Ubuntu HW 12.04 x64 try talos g3-stylo-e10s", "linux64 linux x86_64"),
        // Only tests ran with Stylo disabled.
        ("Windows 10 64-bit stylo-disabled try build", "windows10-64 win x86_64"),
    ]);
}

#[test]
fn underscored_names_start_with_their_product() {
    assert_platforms(&[
        ("b2g_mozilla-inbound_linux32_gecko build", "b2g-linux32 linux x86"),
        ("b2g_ubuntu64_vm cedar debug test gaia-unit", "b2g-linux64 linux x86_64"),
        ("b2g_macosx64 cedar opt test gaia-unit", "b2g-osx mac x86_64"),
        ("b2g_try_win32_gecko build", "b2g-win32 win x86"),
        ("graphene_try_win64 build", "graphene-win64 win x86_64"),
        ("horizon_try_macosx64 build", "horizon-osx mac x86_64"),
        ("b2g_emulator_vm try opt test crashtest-2", "b2g-emu-ics b2g armv7"),
        ("b2g_try_emulator-jb-debug_dep", "b2g-emu-jb b2g armv7"),
        ("b2g_try_emulator-kk_periodic", "b2g-emu-kk b2g armv7"),
        ("b2g_try_emulator-l_nightly", "b2g-emu-l b2g armv7"),
        ("b2g_try_flame-kk_eng_nightly", "b2g-device-image b2g armv7"),
        ("b2g_try_telephone_dep", "b2g-device-image b2g armv7"),
    ]);
}

#[test]
fn release_steps_without_a_machine_stand_on_a_row_of_their_own() {
    for step in ["bncr_sub", "bouncer_aliases", "uptake_monitoring", "chcksms", "updates", "version_bump"] {
        let name = format!("release-mozilla-beta_firefox_{step}");
        assert_platforms(&[(&name, "other - -")]);
    }
}

#[test]
fn an_unknown_platform_is_the_start_of_the_name() {
    assert_platforms(&[
        ("Rev3 Fedora 12 mozilla-inbound debug test xpcshell", "Rev3 Fedora 12 mozilla-i unknown unknown"),
        ("short", "short unknown unknown"),
        ("exactly twenty-four char", "exactly twenty-four char unknown unknown"),
        ("", " unknown unknown"),
    ]);
}

#[test]
fn the_start_of_a_name_is_counted_in_characters_not_in_bytes() {
    for character in ['é', '狐', '🦊'] {
        let name = character.to_string().repeat(30);
        assert_eq!(classify(&name).platform(), character.to_string().repeat(24));
    }
}

#[test]
fn the_first_option_of_the_list_decides_and_opt_is_the_rest() {
    assert_options(&[
        ("Linux try build", "opt"),
        ("Ubuntu VM 12.04 try opt test xpcshell", "opt"),
        ("Ubuntu VM 12.04 try debug test xpcshell", "debug"),
        ("Linux try leak test build", "debug"),
        ("Windows 7 32-bit try pgo talos g1", "pgo"),
        ("Linux x86-64 try pgo-build", "pgo"),
        ("Linux x86-64 try asan build", "asan"),
        ("Linux x86-64 try debug asan build", "asan"),
        ("Ubuntu TSAN VM 12.04 x64 try opt test xpcshell", "tsan"),
        ("Ubuntu Code Coverage VM 12.04 x64 try opt test xpcshell", "cc"),
        ("Linux x86-64 add-on-devel try build", "addon"),
        ("", "opt"),
    ]);
}

#[test]
fn behind_an_open_talos_suite_snow_is_no_form() {
    let (o, t) = ("Talos other o", "Talos Performance T");
    assert_job_types(&[
        ("Rev4 MacOSX Snow Leopard 10.6 mozilla-central talos other-snow-e10s", o, t),
        ("Rev4 MacOSX Snow Leopard 10.6 mozilla-central talos other-snow", o, t),
        ("Ubuntu HW 12.04 mozilla-central pgo talos other_nol64", o, t),
        (
            "Ubuntu HW 12.04 mozilla-central pgo talos other-e10s_nol64",
            "Talos other e10s o",
            "Talos Performance e10s T-e10s",
        ),
        (
            "Rev5 MacOSX Yosemite 10.10 mozilla-central talos other-osx-e10s",
            "Talos other e10s o",
            "Talos Performance e10s T-e10s",
        ),
    ]);
}

#[test]
fn a_hazard_analysis_of_b2g_is_no_device_image() {
    assert_job_types(&[
        ("b2g_try_linux64-b2g-haz_dep", "Hazard Analysis Build H", "unknown ?"),
        ("b2g_try_linux64-sh-haz_dep", "SpiderMonkey Hazard Analysis Build H", "SpiderMonkey SM"),
        ("linux64-br-haz_try_dep", "Hazard Analysis Build H", "unknown ?"),
        ("b2g_try_telephone_dep", "Unknown B2G Device Image Build B", "Unknown Device Image Unknown"),
    ]);
}

#[test]
fn the_longest_suite_that_starts_first_counts() {
    assert_job_types(&[
        ("Ubuntu VM 12.04 try opt test mochitest-gl", "Mochitest WebGL gl", "Mochitest M"),
        ("Ubuntu VM 12.04 try opt test mochitest-e10s-browser-chrome", MOCHITEST_BC_E10S, "Mochitest e10s M-e10s"),
        ("Android 2.3 Emulator try opt test plain-reftest-10", "Reftest R10", "Reftest R"),
        ("Ubuntu VM 12.04 try debug test mochitest-debug", "Mochitest M", "Mochitest M"),
        ("Ubuntu VM 12.04 try debug test mochitestother", "Mochitest M", "Mochitest M"),
        ("Ubuntu VM 12.04 try opt test xpcshell", "XPCShell X", "unknown ?"),
        ("Windows 8 64-bit try opt test reftest-qr-e10s", "Reftest QR e10s R-qr", "Reftest e10s R-e10s"),
        ("Ubuntu VM 12.04 try opt test testmochitest", "unknown ?", "unknown ?"),
    ]);
}

const MOCHITEST_BC_E10S: &str = "Mochitest e10s Browser Chrome bc";

#[test]
fn some_suites_count_only_at_the_end_of_the_name() {
    assert_job_types(&[
        ("b2g_emulator_vm try opt test reftest-sanity", "Reftest Sanity Rs", "Reftest R"),
        ("b2g_emulator_vm try opt test reftest-sanity-2", "Reftest R2", "Reftest R"),
        (
            "Ubuntu VM 12.04 try opt test web-platform-tests-reftests",
            "W3C Web Platform Reftests Wr",
            "W3C Web Platform Tests W",
        ),
        (
            "Ubuntu VM 12.04 try opt test web-platform-tests-reftests-1",
            "W3C Web Platform Tests 1",
            "W3C Web Platform Tests W",
        ),
    ]);
}

#[test]
fn a_chunk_number_follows_the_symbol_or_stands_for_it() {
    assert_job_types(&[
        ("Ubuntu VM 12.04 try opt test jsreftest-1", "JSReftest J1", "Reftest R"),
        ("Ubuntu VM 12.04 try opt test reftest-e10s-12", "Reftest e10s R-e10s12", "Reftest e10s R-e10s"),
        ("Ubuntu VM 12.04 try opt test mochitest-3", "Mochitest 3", "Mochitest M"),
        ("Ubuntu VM 12.04 try opt test mochitest-e10s-3", "Mochitest e10s 3", "Mochitest e10s M-e10s"),
        ("WINNT 6.2 holly opt test mochitest-csb-1", "Mochitest csb 1", "Mochitest csb M-csb"),
        ("b2g_ubuntu64_vm cedar opt test mochitest-oop-1", "Mochitest OOP 1", "Mochitest OOP M-oop"),
        (
            "b2g_ubuntu64_vm cedar opt test gaia-js-integration-4",
            "Gaia JS Integration Test 4",
            "Gaia JS Integration Test Gij",
        ),
        ("Firefox mozilla-central win64 l10n nightly-2", "L10n Nightly N2", "L10n Repack L10n"),
        // The number has to stand behind a hyphen, alone and last.
        ("Ubuntu VM 12.04 try opt test mochitest-3a", "Mochitest M", "Mochitest M"),
        ("Ubuntu VM 12.04 try opt test mochitest-", "Mochitest M", "Mochitest M"),
        ("Ubuntu VM 12.04 try opt test mochitest-٣", "Mochitest M", "Mochitest M"),
        // Where nothing is known of the type, nothing is known of its parts.
        ("Ubuntu VM 12.04 try opt test nonsense-7", "unknown ?", "unknown ?"),
    ]);
}

#[test]
fn talos_suites_run_in_forms() {
    let performance = "Talos Performance T";
    assert_job_types(&[
        ("Windows 7 32-bit try talos g1", "Talos g1 g1", performance),
        ("Windows 7 32-bit try talos svgr-metro", "Talos svg Metro s-m", performance),
        ("Windows 7 32-bit try talos g1-e10s", "Talos g1 e10s g1", "Talos Performance e10s T-e10s"),
        ("Windows 7 32-bit try talos g1-stylo-e10s", "Talos Stylo g1 e10s g1", "Talos Stylo Performance e10s Ts-e10s"),
        (
            "Windows 7 32-bit try talos g1-stylo-disabled-e10s",
            "Talos Stylo disabled g1 e10s g1",
            "Talos Stylo disabled Performance e10s Tsd-e10s",
        ),
        (
            "Windows 7 32-bit try pgo talos tp6-stylo-threads-e10s",
            "Talos Stylo sequential tp6 e10s tp6",
            "Talos Stylo sequential Performance e10s Tss-e10s",
        ),
        (
            "Windows 7 32-bit try talos g1-profiling-e10s",
            "Talos Profiling g1 e10s g1",
            "Talos Profiling Performance e10s T-P-e10s",
        ),
    ]);
}

#[test]
fn talos_suites_may_name_the_machine_they_were_tuned_for() {
    assert_job_types(&[
        ("Rev4 MacOSX Snow Leopard 10.6 try talos g1-snow", "Talos g1 g1", "Talos Performance T"),
        ("Rev4 MacOSX Snow Leopard 10.6 try talos svgr-snow-e10s", "Talos svg e10s s", "Talos Performance e10s T-e10s"),
        ("Rev5 MacOSX Yosemite 10.10 try talos tp5o-osx-e10s", "Talos tp e10s tp", "Talos Performance e10s T-e10s"),
        ("Android 4.0 Panda try talos remote-trobopan", "Talos robopan rp", "Talos Performance T"),
        ("Android 4.0 Panda try talos remote-tp4m_nochrome", "Talos tp nochrome tpn", "unknown ?"),
    ]);
}

#[test]
fn open_talos_suites_take_anything_behind_them_and_others_do_not() {
    assert_job_types(&[
        ("Windows 7 32-bit try talos other_nol64", "Talos other o", "Talos Performance T"),
        ("Windows 7 32-bit try talos tp5n", "Talos tp tp", "Talos Performance T"),
        ("Windows 7 32-bit try talos g1_nol64", "unknown ?", "unknown ?"),
    ]);
}

#[test]
fn a_talos_suite_or_form_that_never_ran_stays_unknown() {
    assert_job_types(&[
        ("Windows 7 32-bit try talos g9", "unknown ?", "unknown ?"),
        ("Windows 7 32-bit try talos g4", "unknown ?", "unknown ?"),
        ("Windows 7 32-bit try talos g1-stylo-threads-e10s", "unknown ?", "unknown ?"),
        ("Windows 7 32-bit try talos ", "unknown ?", "unknown ?"),
    ]);
}

#[test]
fn device_images_are_classified_by_device_and_kind() {
    assert_job_types(&[
        ("b2g_try_unagi_dep", "Unagi Device Image Build B", "Unagi Device Image Unagi"),
        ("b2g_try_unagi_periodic", "Unagi Device Image Build B", "Unagi Device Image Unagi"),
        ("b2g_try_hamachi_nightly", "Hamachi Device Image Nightly N", "Buri/Hamachi Device Image Buri/Hamachi"),
        (
            "b2g_mozilla-b2g34_v2_1s_dolphin-512_eng_nightly",
            "Dolphin-512 Device Image Nightly (Engineering) Ne",
            "Dolphin-512 Device Image Dolphin-512",
        ),
        (
            "b2g_try_flame-kk_eng_dep",
            "Flame KitKat Device Image Build (Engineering) Be",
            "Flame KitKat Device Image Flame-KK",
        ),
        ("b2g_try_telephone_dep", "Unknown B2G Device Image Build B", "Unknown Device Image Unknown"),
        (
            "b2g_try_telephone_eng_nightly",
            "Unknown B2G Device Image Nightly (Engineering) Ne",
            "Unknown Device Image Unknown",
        ),
        // Wasabi had no engineering builds.
        ("b2g_try_wasabi_eng_dep", "Unknown B2G Device Image Build (Engineering) Be", "Unknown Device Image Unknown"),
        ("b2g_try_emulator-debug_dep", "B2G Emulator Image Build B", "unknown ?"),
        ("b2g_try_emulator-l_nightly", "B2G Emulator Image Nightly N", "unknown ?"),
        ("b2g_try_emulator_nonunified", "B2G Emulator Image Non-Unified Build Bn", "unknown ?"),
    ]);
}

#[test]
fn builds_analyses_and_repacks_are_classified_by_their_phrases() {
    assert_job_types(&[
        ("Linux try build", "Build B", "unknown ?"),
        ("Linux x86-64 try debug asan nightly", "AddressSanitizer Debug Nightly Nd", "unknown ?"),
        ("Linux x86-64 try asan nightly", "AddressSanitizer Opt Nightly No", "unknown ?"),
        ("Linux x86-64 try debug asan build", "AddressSanitizer Debug Build Bd", "unknown ?"),
        ("Linux x86-64 try asan build", "AddressSanitizer Opt Build Bo", "unknown ?"),
        ("Linux try leak test build", "Build B", "unknown ?"),
        ("Linux try nightly", "Nightly N", "unknown ?"),
        ("Android armv7 API 10+ cedar non-unified", "Non-Unified Build Bn", "unknown ?"),
        ("OS X 10.7 64-bit try debug static analysis build", "Static Checking Build S", "unknown ?"),
        ("Linux x86-64 try valgrind", "Valgrind Build V", "unknown ?"),
        ("linux64-br-haz_try_dep", "Hazard Analysis Build H", "unknown ?"),
        ("linux64-sh-haz_try_dep", "SpiderMonkey Hazard Analysis Build H", "SpiderMonkey SM"),
        (
            "Linux try leak test spidermonkey_try-arm-sim build",
            "SpiderMonkey ARM Simulator Build arm",
            "SpiderMonkey SM",
        ),
        ("WINNT 5.2 try spidermonkey_try-plaindebug build", "SpiderMonkey Plain Shell Build p", "SpiderMonkey SM"),
        ("Firefox try linux64 l10n", "L10n Repack L10n", "L10n Repack L10n"),
        ("Firefox mozilla-central win64 l10n nightly", "L10n Nightly N", "L10n Repack L10n"),
        ("mozilla-central-dxr", "DXR Index Build Dxr", "unknown ?"),
        ("mozilla-esr52 periodic file update", "Periodic File Update pfu", "unknown ?"),
        // `build` counts at the end only.
        ("Linux try build-1", "unknown ?", "unknown ?"),
    ]);
}

#[test]
fn release_steps_are_classified_by_their_last_words() {
    let release = "Release Promotion Release";
    assert_job_types(&[
        ("release-mozilla-beta-firefox-linux64_partner_repacks", "Partner Repack Pr", "unknown ?"),
        ("release-mozilla-beta_firefox_win64_update_verify", "Update Verify Uv", release),
        ("release-mozilla-beta-firefox_uptake_monitoring", "Uptake Monitoring up-m", release),
        ("release-mozilla-beta-firefox_chcksms", "Checksums Builder CS", release),
        ("release-mozilla-beta_firefox_bncr_sub", "Bouncer Submission BSub", release),
        ("release-mozilla-beta-firefox_updates", "Release Promotion Updates Up", release),
        ("release-mozilla-beta-firefox_version_bump", "Version Bump Vb", release),
        ("release-mozilla-beta-firefox_bouncer_aliases", "Bouncer Aliases Ba", release),
    ]);
}

#[test]
fn a_name_outside_the_grammar_is_unknown_in_every_part() {
    for name in ["", "-", "-1", "nonsense", "b2g", "test", " test ", " talos ", "\u{0}", "\n", "狐-3"] {
        assert_job_types(&[(name, "unknown ?", "unknown ?")]);
        let says = classify(name);
        assert_eq!((says.platform(), says.os(), says.architecture()), (name, UNKNOWN, UNKNOWN));
        assert_eq!(says.option(), "opt");
        assert!(!says.is_known());
    }
}

#[test]
fn a_name_is_known_where_platform_and_job_type_are() {
    for (name, known) in [
        ("Linux try build", true),
        ("Linux try", false),
        ("Fedora try build", false),
        ("Ubuntu VM 12.04 try opt test nonsense", false),
    ] {
        assert_eq!(classify(name).is_known(), known, "{name}");
    }
}

#[test]
fn a_name_of_100_kb_is_read_to_its_end() {
    let branch = "x".repeat(100_000);
    let name = format!("Ubuntu VM 12.04 x64 {branch} debug test mochitest-e10s-3");
    assert_platforms(&[(&name, "linux64 linux x86_64")]);
    assert_options(&[(&name, "debug")]);
    assert_job_types(&[(&name, "Mochitest e10s 3", "Mochitest e10s M-e10s")]);
}

#[test]
fn names_of_100_kb_of_one_word_are_classified_too() {
    for word in ["stylo-disabled ", "_flame_eng", "_flame", "b2g_emulator_", "-1", " test ", " talos ", "linux ", "é"]
    {
        let name = format!("b2g{}", word.repeat(100_000 / word.len()));
        let says = classify(&name);
        assert!(!says.platform().is_empty() && !says.job_type_symbol().is_empty(), "{word}");
    }
}

#[test]
fn control_characters_are_not_letters_and_do_no_harm() {
    assert_platforms(&[("\u{7}linux\u{1b} try build", "linux32 linux x86")]);
    assert_job_types(&[("Linux\n try opt test \u{0}mochitest-1", "Mochitest 1", "Mochitest M")]);
    assert_job_types(&[("Linux try opt test mochitest-1\n", "Mochitest M", "Mochitest M")]);
}

/// The phrases of a table.
fn phrases<T>(lexicon: &'static Lexicon<T>) -> impl Strategy<Value = String> {
    let phrases: Vec<&str> = lexicon.entries.iter().map(|entry| entry.phrase).collect();
    prop::sample::select(phrases).prop_map(ToOwned::to_owned)
}

/// Names made of the vocabulary's words and some others, in any order.
fn names() -> impl Strategy<Value = String> {
    let others = vec!["b2g", "x64", "test", "talos", "remote", "eng", "nightly", "dep", "e10s", "7"];
    let builds: Vec<&str> =
        BEFORE_IMAGES.iter().chain(BUILDS).flat_map(|(phrases, _)| *phrases).map(|p| p.trim_end_matches('^')).collect();
    let word = prop_oneof![
        4 => phrases(&LEXICON),
        2 => phrases(&SUITES),
        2 => phrases(&TALOS),
        1 => phrases(&DEVICES),
        2 => prop::sample::select(builds).prop_map(ToOwned::to_owned),
        3 => prop::sample::select(others).prop_map(ToOwned::to_owned),
        1 => any::<String>(),
    ];
    let joint = prop::sample::select(vec![" ", " ", "_", "-", ""]);
    prop::collection::vec((word, joint), 0..10)
        .prop_map(|words| words.into_iter().flat_map(|(word, joint)| [word, joint.to_owned()]).collect())
}

/// Names as a test builder has them: where the branch stands is `{b}`.
fn tests() -> impl Strategy<Value = String> {
    let machines = LEXICON.entries.iter().filter(|entry| matches!(entry.value, Lexeme::Machine(_)));
    let machine = prop::sample::select(machines.map(|entry| entry.phrase).collect::<Vec<_>>());
    let suites = SUITES.entries.iter().filter(|entry| !entry.value.last);
    let suite = prop::sample::select(suites.map(|entry| entry.phrase).collect::<Vec<_>>());
    (machine, prop::sample::select(OPTIONS), suite)
        .prop_map(|(machine, option, suite)| format!("{machine} {{b}} {option} test {suite}"))
}

/// What is said of a name, but for the symbol and for a platform that is only the start of the name.
fn without_symbol(name: &str) -> [&'static str; 7] {
    let says = classify(name);
    [
        says.platform.map_or("", |platform| platform.name),
        says.os(),
        says.architecture(),
        says.option(),
        says.job_type_name(),
        says.job_group_name(),
        says.job_group_symbol(),
    ]
}

proptest! {
    #[test]
    fn every_name_has_a_platform_an_option_and_symbols(name in prop_oneof![names(), any::<String>()]) {
        let says = classify(&name);
        prop_assert_eq!(says.platform().is_empty(), name.is_empty());
        prop_assert!(OPTIONS.contains(&says.option()) || says.option() == "opt");
        prop_assert!(![says.os(), says.architecture(), says.job_type_name(), says.job_group_name()].contains(&""));
        prop_assert!(!says.job_type_symbol().is_empty() && !says.job_group_symbol().is_empty());
        if says.platform.is_none() {
            prop_assert!(name.starts_with(says.platform()) && says.platform().chars().count() <= 24);
        }
    }

    #[test]
    fn a_chunk_number_changes_the_symbol_only(name in names(), first in 1..64_u8, second in 1..64_u8) {
        let (first, second) = (format!("{name}-{first}"), format!("{name}-{second}"));
        prop_assert_eq!(without_symbol(&first), without_symbol(&second));
    }

    #[test]
    fn a_test_is_of_the_same_kind_with_a_chunk_number_as_without(name in tests(), chunk in 1..64_u8) {
        let chunked = format!("{name}-{chunk}");
        prop_assert_eq!(without_symbol(&name), without_symbol(&chunked));
        let (symbol, with_chunk) = (classify(&name).job_type_symbol(), classify(&chunked).job_type_symbol());
        let gives_way = REPLACED_BY_CHUNK.contains(&&*symbol);
        let expected = if gives_way { chunk.to_string() } else { format!("{symbol}{chunk}") };
        prop_assert_eq!(with_chunk, expected);
    }

    #[test]
    fn the_branch_does_not_matter(before in names(), after in names(), test in tests()) {
        for template in [format!("{before} {{b}} {after}"), format!("{before}_{{b}}_{after}"), test] {
            let (one, other) = (template.replace("{b}", "mozilla-inbound"), template.replace("{b}", "fx-team"));
            prop_assert_eq!(without_symbol(&one), without_symbol(&other), "{}", template);
            prop_assert_eq!(classify(&one).job_type_symbol(), classify(&other).job_type_symbol(), "{}", template);
        }
    }
}
