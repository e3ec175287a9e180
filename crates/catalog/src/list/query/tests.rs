use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Cases {
    lines: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    query: String,
    hits: Vec<usize>,
}

fn matches(query: &Query, line: &str) -> bool {
    let lower = line.to_lowercase();
    let is_hit = |term: &Term| term.is_in(if term.is_case_sensitive { line } else { &lower }) != term.is_inverse;
    query.sets().iter().all(|set| set.iter().any(is_hit))
}

#[test]
fn a_query_matches_the_lines_that_the_table_of_cases_says() {
    let table = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/query-cases.json"));
    let Cases { lines, cases } = serde_json::from_str(table).unwrap();
    assert!(cases.len() > 80, "the table is read");
    for Case { query, hits } in cases {
        let parsed = Query::parse(&query);
        let found: Vec<usize> = (0..lines.len()).filter(|line| matches(&parsed, &lines[*line])).collect();
        assert_eq!(found, hits, "{query}");
    }
}

#[test]
fn a_query_without_a_word_is_the_default() {
    for text in ["", " \t", "!", "^", "!^$", "' !'", "^$ ! ^"] {
        assert_eq!(Query::parse(text), Query::default(), "{text:?}");
    }
    // They are words, as for the page.
    for text in ["$", "|", "! | !"] {
        assert_ne!(Query::parse(text), Query::default(), "{text}");
    }
}

proptest! {
    #[test]
    fn every_text_is_a_query_whose_words_are_not_empty(text in any::<String>()) {
        let query = Query::parse(&text);
        prop_assert!(query.sets().iter().all(|set| !set.is_empty() && set.iter().all(|term| !term.text.is_empty())));
    }

    #[test]
    fn an_inverse_word_matches_the_other_lines(word in "[a-cA^$' ]{1,4}", line in "[a-cA ]{0,6}") {
        let word = word.replace(' ', "\\ ");
        let (query, inverse) = (Query::parse(&word), Query::parse(&format!("!{word}")));
        prop_assume!(query != Query::default());
        prop_assert_ne!(matches(&query, &line), matches(&inverse, &line));
    }
}
