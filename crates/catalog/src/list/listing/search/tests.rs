use proptest::prelude::*;

use super::*;
use crate::list::job::{ListedJob, ListedPlatform};
use crate::list::query::Query;
use crate::list::{etag, write_body, write_index};

/// Name, symbol, group, name of the group, platform, option.
type Job = [String; 6];

fn listing(jobs: &[Job]) -> Listing {
    let listed = || {
        jobs.iter().map(|[name, symbol, group, group_name, platform, option]| ListedJob {
            name,
            upstream: None,
            build_system: "taskcluster",
            platform: ListedPlatform { name: platform, os: "", architecture: "" },
            option,
            job_type_name: name,
            job_type_symbol: symbol.into(),
            job_group_name: group_name,
            job_group_symbol: group,
            tier: None,
        })
    };
    let mut body = Vec::new();
    write_body("try", listed(), &mut body);
    let tag = etag(&body);
    Listing::from_index(&write_index("try", &tag, listed()), &tag).unwrap()
}

fn found(listing: &Listing, query: &str) -> Vec<usize> {
    listing.selected(&Selection { query: Query::parse(query), ..Selection::default() })
}

/// The line of a job, by its definition.
fn line([name, symbol, group, group_name, platform, option]: &Job) -> String {
    let group = if group == "?" { "" } else { group };
    let group_name = if group_name == "unknown" { "" } else { group_name };
    let title = Some(platform_title(platform)).filter(|title| title != platform).unwrap_or_default();
    let parts = [name, symbol, group, group_name, platform, title, option];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The places of the lines that match, looked at one by one.
fn matching(lines: &[String], query: &str) -> Vec<usize> {
    let query = Query::parse(query);
    let is_match = |line: &str| {
        let lower = line.to_lowercase();
        let is_hit = |term: &Term| term.is_in(if term.is_case_sensitive { line } else { &lower }) != term.is_inverse;
        query.sets().iter().all(|set| set.iter().any(is_hit))
    };
    (0..lines.len()).filter(|at| is_match(&lines[*at])).collect()
}

fn job(words: [&str; 6]) -> Job {
    words.map(str::to_owned)
}

#[test]
fn a_search_looks_at_label_symbol_group_platform_its_title_and_option() {
    let test = ["test-linux2404-64/debug-xpcshell-1", "X1", "X-swr", "Xpcshell tests", "linux2404-64", "debug"];
    let listing = listing(&[job(test)]);
    for query in [
        "xpcshell tests 24.04 ^test-linux debug$",
        "^test-linux2404-64/debug-xpcshell-1\\ X1\\ X-swr\\ Xpcshell\\ tests\\ linux2404-64\\ Linux\\ 24.04\\ debug$",
        "1\\ x1\\ x-swr",
        "Linux X1 | zzz",
    ] {
        assert_eq!(found(&listing, query), [0], "{query}");
    }
    for query in ["LINUX", "debug-xpcshell-1X1", "^x1", "24.04$", "X-swr(X1)"] {
        assert!(found(&listing, query).is_empty(), "{query}");
    }
}

#[test]
fn the_words_for_a_missing_group_are_not_found() {
    let listing = listing(&[job(["Linux try build", "B", "?", "unknown", "linux64", "opt"])]);
    assert!(found(&listing, "unknown").is_empty());
    assert_eq!(found(&listing, "!unknown !?"), [0]);
}

#[test]
fn the_end_of_a_line_is_found_without_an_option_a_platform_and_a_group() {
    let listing = listing(&[job(["a", "Xy", "", "", "", ""]), job(["b", "s", "", "", "linux2404-64", ""])]);
    assert_eq!(found(&listing, "xy$"), [0]);
    assert_eq!(found(&listing, "24.04$"), [1]);
}

#[test]
fn a_match_does_not_span_two_names() {
    let listing = listing(&[job(["one", "s", "", "", "", ""]), job(["two", "s", "", "", "", ""])]);
    assert!(found(&listing, "onetwo").is_empty());
    assert_eq!(found(&listing, "^two"), [1]);
}

/// How many lines a search makes: as they are, and in lower case.
fn lines_made(listing: &Listing, query: &str) -> [usize; 2] {
    let mut lines = Lines::default();
    listing.selected_by(&Selection { query: Query::parse(query), ..Selection::default() }, &mut lines);
    [lines.exact.made, lines.lower.made]
}

#[test]
fn a_search_makes_each_line_once_for_all_words_with_blanks() {
    let jobs: Vec<Job> =
        (0..200).map(|number| job([&format!("test-{number}"), "s", "g", "group", "linux64", "opt"])).collect();
    let listing = listing(&jobs);
    // Every line is looked at for every word.
    let letters = || ('a'..='z').flat_map(|one| ('a'..='c').map(move |other| format!("{one}\\ {other}")));
    let nowhere = letters().map(|word| format!("!{word}z ")).collect::<Vec<_>>().concat();
    assert!(nowhere.len() > 500);
    assert_eq!(found(&listing, &nowhere).len(), 200);
    assert_eq!(lines_made(&listing, &nowhere), [0, 200]);
    let one_of_them = letters().map(|word| format!("{word}z | ")).collect::<Vec<_>>().concat();
    assert_eq!(lines_made(&listing, &format!("{one_of_them} s\\ g")), [0, 200]);
    let in_both_cases =
        letters().map(|word| format!("!{word}z !{word}Z !^{word}z !{word}z$ ")).collect::<Vec<_>>().concat();
    assert_eq!(lines_made(&listing, &in_both_cases), [200, 200]);
}

#[test]
fn a_search_makes_lines_only_of_jobs_that_the_words_without_blanks_leave_over() {
    let jobs: Vec<Job> =
        (0..200).map(|number| job([&format!("test-{number}"), "s", "g", "", "linux64", "opt"])).collect();
    let listing = listing(&jobs);
    assert_eq!(lines_made(&listing, "s\\ g test-19 | ^test-18 opt$"), [0, 22]);
    assert_eq!(lines_made(&listing, "test-19 | ^test-18 !debug opt$"), [0, 0]);
}

fn jobs() -> impl Strategy<Value = Vec<Job>> {
    let word = || prop_oneof![Just(String::new()), "[a-cA -]{0,3}", "[aΣß狐İ\u{a0} ]{0,4}"];
    let group = prop_oneof![Just("?".to_owned()), word()];
    let group_name = prop_oneof![Just("unknown".to_owned()), word()];
    let platforms = ["linux64", "linux2404-64-qr", "windows11-64-24h2-shippable", "b"].map(str::to_owned).to_vec();
    let platform = prop_oneof![proptest::sample::select(platforms), word()];
    let job = (word(), word(), group, group_name, platform, word()).prop_map(|(a, b, c, d, e, f)| [a, b, c, d, e, f]);
    prop::collection::vec(job, 0..12)
}

/// A query of up to four words: parts of the lines, and made up ones.
fn queries() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        3 => "[a-cA-]{1,2}",
        1 => "[abσςß狐İ$'^!|]{1,2}",
        1 => "([a-c]|\\\\ ){1,4}",
        1 => proptest::sample::select(vec!["linux", "Linux\\ 24", "x\\ 2", "shippable", "11", "unknown"])
            .prop_map(str::to_owned),
    ];
    let word = ("[!]?[\\^']?", text, "[$]?").prop_map(|(start, text, end)| start + &text + &end);
    let word = prop_oneof![4 => word, 1 => Just("|".to_owned())];
    prop::collection::vec(word, 0..5).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn a_search_finds_the_jobs_whose_lines_match(jobs in jobs(), queries in prop::collection::vec(queries(), 1..8)) {
        let (listing, lines) = (listing(&jobs), jobs.iter().map(line).collect::<Vec<_>>());
        for query in queries {
            prop_assert_eq!(found(&listing, &query), matching(&lines, &query), "{:?} of {:?}", query, lines);
        }
    }
}
