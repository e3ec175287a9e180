//! The index of a list: it gives the answers that the body gives, and any other bytes are refused.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

use catalog::buildbot::{self, CatalogJob};
use catalog::list::{
    BadIndex, FIELDS, ListedJob, ListedPlatform, Listing, Names, Query, Selection, body_of_index, etag, index_format,
    pack, unpack, write_body, write_index,
};
use catalog::sample;
use catalog::suggest::SearchBudget;
use proptest::prelude::*;

const BUILD: &str = "Linux x86-64 try build";
/// Bytes of an index before the gzip.
const HEADER: usize = 40;
/// A list of the size of those of 2016 is the largest of this many builders.
const ALL_BUILDERS: usize = 65_888;

/// The body of some of Buildbot's jobs, its ETag, and its index.
fn list(project: &str, jobs: &[CatalogJob<'_>]) -> (Vec<u8>, String, Vec<u8>) {
    let mut body = Vec::new();
    buildbot::write_body(project, jobs, &mut body, |_| ());
    let etag = etag(&body);
    let index = buildbot::write_index(project, &etag, jobs);
    (body, etag, index)
}

fn small_list() -> (Vec<u8>, String, Vec<u8>) {
    let test = |name| CatalogJob { name, upstream: Some(BUILD) };
    list(
        "try",
        &[
            CatalogJob { name: BUILD, upstream: None },
            CatalogJob { name: "Rev3 Fedora \"12\" try nonsense 狐", upstream: None },
            test("Ubuntu VM 12.04 x64 try debug test mochitest-e10s-3"),
            test("Ubuntu VM 12.04 x64 try opt test mochitest-1"),
            test("Ubuntu VM 12.04 x64 try opt test mochitest-2"),
        ],
    )
}

/// The index with other unpacked bytes.
fn with_content(index: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut content = unpack(&index[HEADER..]).unwrap();
    change(&mut content);
    [&index[..HEADER], &pack(&content)].concat()
}

fn search(query: &str) -> Selection {
    Selection { query: Query::parse(query), ..Selection::default() }
}

/// Selections of every kind.
fn selections() -> Vec<Selection> {
    let one = |value: &str| vec![value.to_owned()];
    vec![
        Selection::default(),
        search("mochitest linux64"),
        search("M-e10s !debug | opt$"),
        search("x64\\ 狐"),
        search("nowhere"),
        search("pgo ^windows"),
        Selection { platform: one("linux64"), option: one("opt"), ..Selection::default() },
        Selection { job_group_symbol: one("M"), job_type_symbol: one("1"), ..Selection::default() },
        Selection { build_system_type: one("buildbot"), offset: 2, count: Some(50), ..Selection::default() },
        Selection { build_system_type: one("taskcluster"), ..Selection::default() },
        Selection { fields: Some(vec!["ref_data_name", "platform", "upstream"]), ..search("talos") },
        Selection { fields: Some(FIELDS.to_vec()), count: Some(100), ..Selection::default() },
        Selection { fields: Some(Vec::new()), count: Some(1), ..Selection::default() },
    ]
}

fn assert_same_answers(body: &[u8], etag: &str, index: &[u8]) {
    let of_body = Listing::read(body.into()).unwrap();
    let of_index = Listing::from_index(index, etag).unwrap();
    assert!(body_of_index(index, etag).unwrap() == body, "the body is written again from its index");
    for wanted in selections() {
        let (expected, answer) = (of_body.select(&wanted), of_index.select(&wanted));
        assert!(expected == answer, "{wanted:?}: {} and {} bytes", expected.len(), answer.len());
    }
    assert_eq!(of_body.len(), of_index.len());
    let (names_of_body, names_of_index) = (Names::read(body).unwrap(), Names::from_index(index, etag).unwrap());
    assert_eq!(names_of_body.len(), names_of_index.len());
    for name in of_body.names() {
        assert!(names_of_index.contains(name), "{name}");
        assert_eq!(names_of_body.build_of(name), names_of_index.build_of(name), "{name}");
        assert_eq!(names_of_body.is_label(name), names_of_index.is_label(name), "{name}");
    }
    let asked = of_body.names().step_by(97).flat_map(|name| [name.to_owned(), format!(" {} ", name.to_uppercase())]);
    for name in asked.chain(["no such job".to_owned()]) {
        assert_eq!(of_body.job(&name), of_index.job(&name), "{name}");
        assert_eq!(of_body.suggest(&name, 3), of_index.suggest(&name, 3), "{name}");
        let suggested = |names: &Names| names.suggest(&name, &mut SearchBudget::default()).map(str::to_owned);
        assert_eq!(suggested(&names_of_body), suggested(&names_of_index), "{name}");
        assert_eq!(names_of_body.same(&name), names_of_index.same(&name), "{name}");
    }
}

#[test]
fn the_largest_list_of_a_dump_answers_from_its_index_as_from_its_body() {
    let mut document = Vec::new();
    sample::write(ALL_BUILDERS, 1, &mut document).unwrap();
    let dump = buildbot::read(document.as_slice(), u64::MAX, &mut |_| ()).unwrap();
    let (projects, _) = dump.projects();
    let (project, jobs) = projects.iter().max_by_key(|(_, jobs)| jobs.len()).unwrap();
    assert!(jobs.len() > 2000);
    let (body, etag, index) = list(project, jobs);
    assert_same_answers(&body, &etag, &index);
    let (packed, quarter) = (index.len(), pack(&body).len() / 4);
    assert!(packed < quarter, "the index has {packed} bytes; a quarter of the packed body is {quarter}");
}

#[test]
fn a_list_without_jobs_and_a_small_one_answer_from_their_indexes() {
    for (body, etag, index) in [list("ash", &[]), small_list()] {
        assert_same_answers(&body, &etag, &index);
    }
}

#[test]
fn the_bytes_of_an_index_stay_what_they_are() {
    // Other bytes need another version: an index may be older than the code that reads it.
    let (_, etag, index) = small_list();
    let content = unpack(&index[HEADER..]).unwrap();
    let content: String = content.iter().flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from).collect();
    insta::assert_snapshot!(format!("{:02x?}\n{etag}\n{content}", &index[..8]).replace("\\n", "\\n\n"));
}

#[test]
fn an_index_is_used_for_its_own_list_version_and_fields_alone() {
    let (_, etag, index) = small_list();
    let changed = |at: usize| {
        let mut changed = index.clone();
        changed[at] ^= 1;
        Listing::from_index(&changed, &etag).unwrap_err()
    };
    assert!(matches!(changed(3), BadIndex::Version) && changed(3).is_of_another_release());
    assert!(matches!(changed(4), BadIndex::OtherFields) && changed(4).is_of_another_release());
    assert!(matches!(changed(9), BadIndex::OtherList) && !changed(9).is_of_another_release());
    assert!(matches!(changed(HEADER), BadIndex::Packed(_)));
    // The name of the format has both.
    let fields = u32::from_le_bytes(index[4..8].try_into().unwrap());
    assert_eq!(index_format(), format!("{}-{fields:08x}", index[3]));
    let other = list("ash", &[]).1;
    assert!(matches!(Listing::from_index(&index, &other), Err(BadIndex::OtherList)));
    assert!(matches!(Listing::from_index(b"", &etag), Err(BadIndex::Malformed(_))));
}

#[test]
fn an_index_that_is_cut_or_goes_on_is_refused() {
    let (_, etag, index) = small_list();
    for end in 0..index.len() {
        assert!(Listing::from_index(&index[..end], &etag).is_err(), "cut at byte {end}");
    }
    let longer = [&index[..], b"\0"].concat();
    assert!(matches!(Listing::from_index(&longer, &etag), Err(BadIndex::Packed(_))));
    let content = unpack(&index[HEADER..]).unwrap();
    for end in 0..content.len() {
        let cut = with_content(&index, |content| content.truncate(end));
        assert!(Listing::from_index(&cut, &etag).is_err(), "its content cut at byte {end}");
    }
    let longer = with_content(&index, |content| content.push(0));
    assert!(matches!(Listing::from_index(&longer, &etag), Err(BadIndex::Malformed("bytes follow its end"))));
}

#[test]
fn a_small_index_cannot_claim_much_memory() {
    let (_, etag, index) = small_list();
    // The project's name has no bytes; then a count of four billion.
    let huge = with_content(&index, |content| *content = vec![0, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert!(matches!(Listing::from_index(&huge, &etag), Err(BadIndex::Malformed("it ends too early"))));
    // The last bytes of gzip are the number of bytes that it unpacks to.
    for length in [0, 1, u32::MAX] {
        let length_at = index.len() - size_of::<u32>();
        let wrong = [&index[..length_at], &length.to_le_bytes()].concat();
        assert!(matches!(Listing::from_index(&wrong, &etag), Err(BadIndex::Packed(_))), "{length} bytes");
    }
    // Two words of which the second shares 64 MB with the first would be too much text.
    let zeros = with_content(&index, |content| *content = vec![0; 100 << 20]);
    assert!(Listing::from_index(&zeros, &etag).is_err());
}

/// A job with any words, and its tier.
type AnyJob = (String, Option<String>, [String; 3], [String; 4], [String; 2], Option<u8>);

fn any_jobs() -> impl Strategy<Value = Vec<AnyJob>> {
    let word = || prop_oneof!["[a-c]{0,3}", "[A-Z ]{0,4}", any::<String>()];
    let place = prop_oneof![[word(), word(), word()], word().prop_map(|name| [name, String::new(), String::new()]),];
    let label = [word(), word(), word(), word()];
    let job = (word(), prop::option::of(word()), place, label, [word(), word()], prop::option::of(1..=3_u8));
    let job = (job, any::<bool>()).prop_map(|(mut job, is_typed_by_name)| {
        if is_typed_by_name {
            job.3[2].clone_from(&job.0);
        }
        job
    });
    prop::collection::vec(job, 0..12)
}

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

proptest! {
    #[test]
    fn any_jobs_answer_from_an_index_as_from_a_body(
        project in any::<String>(),
        jobs in any_jobs(),
        sought in "([!^]?[a-cΣß|]{1,2}[$]? ?){0,3}",
    ) {
        let mut body = Vec::new();
        write_body(&project, jobs.iter().map(listed), &mut body);
        let etag = etag(&body);
        let index = write_index(&project, &etag, jobs.iter().map(listed));
        let (of_body, of_index) =
            (Listing::read(body.as_slice().into()).unwrap(), Listing::from_index(&index, &etag).unwrap());
        for wanted in [Selection::default(), search(&sought)] {
            prop_assert_eq!(of_body.select(&wanted), of_index.select(&wanted));
        }
        let (names_of_body, names_of_index) =
            (Names::read(&body).unwrap(), Names::from_index(&index, &etag).unwrap());
        for (name, ..) in &jobs {
            prop_assert_eq!(of_body.job(name), of_index.job(name));
            prop_assert_eq!(names_of_body.build_of(name), names_of_index.build_of(name));
            prop_assert_eq!(names_of_body.is_label(name), names_of_index.is_label(name));
        }
        let listed: Vec<ListedJob<'_>> = jobs.iter().map(listed).collect();
        prop_assert_eq!(of_body.jobs().collect::<Vec<_>>(), listed.clone());
        prop_assert_eq!(of_index.jobs().collect::<Vec<_>>(), listed);
        // The body is the whole selection but for its meta.
        let results = |bytes: &[u8]| memchr::memmem::find(bytes, b"\"results\":").map(|at| bytes[at..].to_vec());
        prop_assert_eq!(results(&body), results(&of_index.select(&Selection::default())));
    }

    #[test]
    fn changed_bytes_are_refused_or_read_without_a_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        is_packed in any::<bool>(),
    ) {
        let (_, etag, index) = small_list();
        let change = |bytes: &mut Vec<u8>| {
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
        };
        let changed = if is_packed {
            let mut changed = index.clone();
            change(&mut changed);
            changed
        } else {
            with_content(&index, change)
        };
        if let Ok(listing) = Listing::from_index(&changed, &etag) {
            for wanted in selections() {
                listing.select(&wanted);
            }
            for name in listing.names() {
                prop_assert!(listing.job(name).is_some());
            }
            prop_assert!(!listing.bytes().to_string().is_empty());
        }
        if let Ok(names) = Names::from_index(&changed, &etag) {
            names.build_of(BUILD);
            names.is_label(BUILD);
            names.suggest("Linux x86-64 try biuld", &mut SearchBudget::default());
        }
    }
}
