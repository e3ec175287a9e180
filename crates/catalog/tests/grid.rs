//! The grid of a list, read back as a page reads it.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

use catalog::list::{ListedJob, ListedPlatform, Listing, Query, Selection, etag, unpack, write_body, write_index};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What a grid says of each job.
fn jobs_of(grid: &Value) -> Vec<Value> {
    let column = |name: &str| grid["jobs"][name].as_array().unwrap();
    let mut name = String::new();
    (0..column("rest").len())
        .map(|at| {
            let number = |column_name: &str| column(column_name)[at].as_u64().and_then(|n| usize::try_from(n).ok());
            let word = |table: &str, column: &str| number(column).map_or(Value::Null, |n| grid[table][n].clone());
            name.truncate(number("shared").unwrap());
            name.push_str(column("rest")[at].as_str().unwrap());
            let group = word("groups", "group");
            json!({
                "ref_data_name": name,
                "platform": word("platforms", "platform"),
                "platform_option": word("options", "option"),
                "job_group_name": group["name"],
                "job_group_symbol": group["symbol"],
                "job_type_symbol": word("symbols", "symbol"),
                "tier": column("tier")[at],
                "build_system_type": word("build_systems", "build_system"),
                "upstream": word("builds", "upstream"),
            })
        })
        .collect()
}

/// The same of a selection.
fn expected(listing: &Listing, wanted: &Selection) -> Vec<Value> {
    let answer: Value = serde_json::from_slice(&listing.select(wanted)).unwrap();
    let fields = ["ref_data_name", "platform", "platform_option", "job_group_name", "job_group_symbol"];
    let more = ["job_type_symbol", "tier", "build_system_type", "upstream"];
    let entry =
        |job: &Value| fields.into_iter().chain(more).map(|field| (field.to_owned(), job[field].clone())).collect();
    answer["results"].as_array().unwrap().iter().map(entry).collect()
}

type AnyJob = (String, Option<String>, [String; 3], [String; 4], [String; 2], Option<u8>);

fn listed((name, upstream, place, label, kind, tier): &AnyJob) -> ListedJob<'_> {
    ListedJob {
        name,
        upstream: upstream.as_deref(),
        build_system: &kind[1],
        platform: ListedPlatform { name: &place[0], os: &place[1], architecture: &place[2] },
        option: &kind[0],
        job_type_name: &label[2],
        job_type_symbol: label[3].as_str().into(),
        job_group_name: &label[0],
        job_group_symbol: &label[1],
        tier: *tier,
    }
}

fn any_jobs() -> impl Strategy<Value = Vec<AnyJob>> {
    let word = || prop_oneof!["[a-c]{0,3}", "[ab狐é🦊]{0,5}"];
    let words = (word(), prop::option::of(word()), [word(), word(), word()], [word(), word(), word(), word()]);
    let job = (words, [word(), word()], prop::option::of(1..=3_u8));
    prop::collection::vec(job.prop_map(|((a, b, c, d), e, f)| (a, b, c, d, e, f)), 0..12)
}

proptest! {
    #[test]
    fn a_grid_says_of_each_selected_job_what_the_list_says(jobs in any_jobs(), word in "[a-c狐]{0,2}") {
        let mut body = Vec::new();
        write_body("try", jobs.iter().map(listed), &mut body);
        let etag = etag(&body);
        let index = write_index("try", &etag, jobs.iter().map(listed));
        for listing in [Listing::read(body.as_slice().into()).unwrap(), Listing::from_index(&index, &etag).unwrap()] {
            let found = Selection { query: Query::parse(&word), ..Selection::default() };
            for wanted in [Selection::default(), found] {
                let grid: Value = serde_json::from_slice(&listing.grid_of(&wanted)).unwrap();
                let jobs = jobs_of(&grid);
                prop_assert_eq!(&grid["meta"], &json!({"repository": "try", "total": jobs.len()}));
                prop_assert_eq!(jobs, expected(&listing, &wanted));
            }
            let packed = listing.packed_grid();
            prop_assert_eq!(unpack(&packed.gzip).unwrap(), listing.grid());
            prop_assert_eq!(&packed.etag, &catalog::list::etag(&listing.grid()));
        }
    }
}

#[test]
fn a_grid_has_each_word_once_and_no_beginning_twice() {
    let test = |chunk: &'static str, symbol: &'static str| ListedJob {
        name: chunk,
        upstream: Some("build-linux64/opt"),
        build_system: "taskcluster",
        platform: ListedPlatform { name: "linux64", os: "", architecture: "" },
        option: "opt",
        job_type_name: chunk,
        job_type_symbol: symbol.into(),
        job_group_name: "Mochitests",
        job_group_symbol: "M",
        tier: Some(2),
    };
    let jobs = [test("test-linux64/opt-mochitest-1", "1"), test("test-linux64/opt-mochitest-2", "2")];
    let mut body = Vec::new();
    write_body("try", jobs.into_iter(), &mut body);
    let grid = String::from_utf8(Listing::read(body.into()).unwrap().grid()).unwrap();
    let expected = concat!(
        r#"{"meta":{"repository":"try","total":2},"platforms":["linux64"],"options":["opt"],"#,
        r#""groups":[{"name":"Mochitests","symbol":"M"}],"symbols":["1","2"],"build_systems":["taskcluster"],"#,
        r#""builds":["build-linux64/opt"],"jobs":{"shared":[0,27],"rest":["test-linux64/opt-mochitest-1","2"],"#,
        r#""platform":[0,0],"option":[0,0],"group":[0,0],"symbol":[0,1],"tier":[2,2],"build_system":[0,0],"#,
        r#""upstream":[0,0]}}"#,
    );
    assert_eq!(grid, expected);
}
