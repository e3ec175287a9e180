//! The body that HTTP serves, held to its bytes: clients know its shape from Treeherder.

use std::collections::BTreeMap;

use catalog::buildbot::{CatalogJob, write_body};
use catalog::list::{MAX_PART_BYTES, PackedList, Summary, etag, pack, unpack};
use proptest::prelude::*;
use serde_json::Value;

const BUILD: &str = "Linux x86-64 try build";

/// The body of some jobs, and the names that the grammar does not know.
fn body(project: &str, jobs: &[(&str, Option<&str>)]) -> (String, Vec<String>) {
    let jobs: Vec<CatalogJob<'_>> = jobs.iter().map(|&(name, upstream)| CatalogJob { name, upstream }).collect();
    let (mut body, mut unknown) = (Vec::new(), Vec::new());
    write_body(project, &jobs, &mut body, |name| unknown.push(name.to_owned()));
    (String::from_utf8(body).expect("a body is UTF-8"), unknown)
}

/// The entries of jobs with these names.
fn entries(names: &[&str]) -> Vec<Value> {
    let jobs: Vec<_> = names.iter().map(|name| (*name, None)).collect();
    let body: Value = serde_json::from_str(&body("try", &jobs).0).expect("a body is JSON");
    body["results"].as_array().expect("a list").clone()
}

#[test]
fn a_body_has_the_fields_of_treeherders_list_in_its_order() {
    let (body, unknown) = body(
        "try",
        &[
            (BUILD, None),
            ("Rev3 Fedora \"12\" try nonsense 狐", None),
            ("Ubuntu VM 12.04 x64 try debug test mochitest-e10s-3", Some(BUILD)),
        ],
    );
    assert_eq!(unknown, ["Rev3 Fedora \"12\" try nonsense 狐"]);
    // One field a line, only to be read more easily.
    let lines = body.replace(",\"", ",\n\"").replace('{', "{\n").replace('}', "\n}");
    insta::assert_snapshot!(lines);
}

#[test]
fn a_list_without_jobs_is_a_body_too() {
    assert_eq!(body("ash", &[]).0, r#"{"meta":{"repository":"ash","offset":0,"count":0},"results":[]}"#);
}

#[test]
fn a_summary_counts_the_body_and_leaves_out_unknown_platforms() {
    let (mut body, names) = (Vec::new(), [BUILD, "Rev3 Fedora 12 try nonsense", "WINNT 5.2 try build", BUILD]);
    let jobs = names.map(|name| CatalogJob { name, upstream: None });

    let summary = write_body("try", &jobs, &mut body, |_| ());

    let body: Value = serde_json::from_slice(&body).unwrap();
    let entries = body["results"].as_array().unwrap();
    // For a platform that the grammar does not know, the body has the start of the name.
    let known = entries.iter().filter(|entry| entry["build_os"] != "unknown");
    let platforms = known.map(|entry| entry["platform"].as_str().unwrap().to_owned()).collect();
    let build_systems = [("buildbot".to_owned(), entries.len())].into();
    assert_eq!(summary, Summary { jobs: entries.len(), build_systems, platforms });
    assert_eq!(summary.platforms.len(), 2);
    assert_eq!(write_body("try", &[], &mut Vec::new(), |_| ()), Summary::default());
}

#[test]
fn option_collections_have_treeherders_hashes() {
    let names = [
        ("Linux try build", "opt", "102210fe594ee9b33d82058545b1ed14f4c8206e"),
        ("Linux try leak test build", "debug", "32faaecac742100f7753f0c1d0aa0add01b4046b"),
        ("Windows 7 32-bit try pgo talos g1", "pgo", "f69e1b00908837bf0550250abb1645014317e8ec"),
        ("Linux x86-64 try asan build", "asan", "03abd064e50ec12b8c7309950268531d78c63f60"),
    ];
    for (name, option, hash) in names {
        let entry = &entries(&[name])[0];
        assert_eq!(
            (entry["platform_option"].as_str(), entry["option_collection_hash"].as_str()),
            (Some(option), Some(hash))
        );
    }
}

#[test]
fn ids_are_positive_have_31_bits_and_stand_for_words() {
    const IDS: [(&str, &[&str]); 4] = [
        ("build_platform_id", &["build_platform", "build_os", "build_architecture"]),
        ("machine_platform_id", &["platform", "machine_platform_os", "machine_platform_architecture"]),
        ("job_group_id", &["job_group_name", "job_group_symbol"]),
        ("job_type_id", &["job_type_name", "job_type_symbol"]),
    ];
    let names: Vec<&str> = include_str!("fixtures/names.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split('\t').next())
        .collect();
    let entries = entries(&names);
    for (id_of, words_of) in IDS {
        let (mut words_by_id, mut ids_by_words) = (BTreeMap::new(), BTreeMap::new());
        for entry in &entries {
            let id = entry[id_of].as_u64().unwrap();
            let words: Vec<&str> = words_of.iter().map(|field| entry[*field].as_str().unwrap()).collect();
            assert!((1..1 << 31).contains(&id), "{id_of} {id}");
            assert_eq!(words_by_id.entry(id).or_insert_with(|| words.clone()), &words, "{id_of} {id}");
            assert_eq!(ids_by_words.entry(words.clone()).or_insert(id), &id, "{id_of} of {words:?}");
        }
        assert!(words_by_id.len() > 10, "{id_of}");
    }
}

#[test]
fn the_etag_names_the_bytes_of_the_body() {
    let (one, other) = (body("try", &[(BUILD, None)]).0, body("ash", &[(BUILD, None)]).0);
    assert_eq!(etag(one.as_bytes()), etag(one.clone().as_bytes()));
    assert_ne!(etag(one.as_bytes()), etag(other.as_bytes()));
    // Half of the SHA-256 of nothing.
    assert_eq!(etag(b""), "e3b0c44298fc1c149afbf4c8996fb924");
}

#[test]
fn an_incomplete_packed_list_is_not_unpacked() {
    let packed = pack(body("try", &[(BUILD, None)]).0.as_bytes());
    for end in 0..packed.len() {
        assert!(unpack(&packed[..end]).is_err(), "cut at byte {end}");
    }
    let mut corrupt = packed.clone();
    let last_of_checksum = packed.len() - 5;
    corrupt[last_of_checksum] ^= 1;
    assert!(unpack(&corrupt).is_err());
    assert!(unpack(b"{}").is_err());
}

#[test]
fn a_list_larger_than_an_item_is_cut_into_parts_that_join_to_it() {
    // Bytes that do not shrink, so that the packed list is longer than three parts.
    let mut state = 1_u64;
    let body: Vec<u8> = (0..=3 * MAX_PART_BYTES)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .collect();
    let list = PackedList::new(&body, Summary { jobs: 7, ..Summary::default() });

    let parts: Vec<&[u8]> = list.parts().collect();

    assert_eq!((list.etag.as_str(), list.summary.jobs, list.body_bytes), (etag(&body).as_str(), 7, body.len()));
    assert_eq!(parts.len(), 4);
    assert!(parts.iter().all(|part| (1..=MAX_PART_BYTES).contains(&part.len())));
    assert_eq!(unpack(&parts.concat()).unwrap(), body);
}

#[test]
fn the_same_body_packs_to_the_same_bytes() {
    let body = body("try", &[(BUILD, None)]).0.repeat(100);
    assert_eq!(pack(body.as_bytes()), pack(body.as_bytes()));
    assert_eq!(pack(body.as_bytes())[4..8], [0; 4], "no time stands in the header");
}

proptest! {
    #[test]
    fn pack_then_unpack_is_the_identity(body in prop::collection::vec(any::<u8>(), 0..5000), times in 1_usize..50) {
        let body = body.repeat(times);
        prop_assert_eq!(unpack(&pack(&body)).unwrap(), body);
    }

    #[test]
    fn a_body_is_json_with_every_name_and_its_build(
        project in any::<String>(),
        jobs in prop::collection::vec((any::<String>(), any::<Option<String>>()), 0..10),
    ) {
        let jobs: Vec<(&str, Option<&str>)> =
            jobs.iter().map(|(name, upstream)| (name.as_str(), upstream.as_deref())).collect();
        let body: Value = serde_json::from_str(&body(&project, &jobs).0).unwrap();
        prop_assert_eq!(body["meta"]["repository"].as_str(), Some(project.as_str()));
        prop_assert_eq!(body["meta"]["count"].as_u64(), Some(jobs.len() as u64));
        let results = body["results"].as_array().unwrap();
        prop_assert_eq!(results.len(), jobs.len());
        for ((name, upstream), entry) in jobs.iter().zip(results) {
            prop_assert_eq!(entry["ref_data_name"].as_str(), Some(*name));
            prop_assert_eq!(entry["upstream"].as_str(), *upstream);
        }
    }
}
