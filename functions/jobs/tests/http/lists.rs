//! Lists, single jobs, and unknown projects.

use catalog::list::MAX_NAME;
use catalog::list::unpack;
use http::{Method, StatusCode};
use jobs::api::{Grid, JobWithRelatives, RunnableJobs};

use crate::app::{BUILD, LIST, NAMES, TestApp, list, morning, names};

#[tokio::test]
async fn a_list_is_served_as_it_is_stored_to_clients_that_accept_gzip() {
    let app = TestApp::published().await;
    let stored = list("try", &NAMES);

    let packed = app.ask(Method::GET, LIST, &[("accept-encoding", "gzip, deflate, br")]).await;

    assert_eq!(packed.body, stored.gzip);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.header("content-type"), Some("application/json"));
    assert_eq!(packed.header("etag"), Some(format!("\"{}-gzip\"", stored.etag).as_str()));
    assert_eq!(packed.header("cache-control"), Some("public, max-age=30"));
    assert_eq!(packed.header("vary"), Some("Accept-Encoding"));
    assert_eq!(packed.header("last-modified"), Some("Mon, 23 Nov 2026 06:00:00 GMT"));
    assert_eq!((packed.header("warning"), packed.header("age")), (None, None));

    let plain = app.get(LIST).await;

    assert_eq!(plain.body, unpack(&stored.gzip).unwrap());
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.header("etag"), Some(format!("\"{}\"", stored.etag).as_str()));
    assert_eq!(names(&plain), NAMES);
    assert_eq!(app.get(LIST.trim_end_matches('/')).await.body, plain.body);
    let head = app.ask(Method::HEAD, LIST, &[]).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("content-length"), Some(plain.body.len().to_string().as_str()));
}

#[tokio::test]
async fn a_client_that_has_the_list_gets_304_without_a_read_of_the_list() {
    let app = TestApp::published().await;
    let etag = format!("\"{}-gzip\"", list("try", &NAMES).etag);

    let known = app.ask(Method::GET, LIST, &[("accept-encoding", "gzip"), ("if-none-match", &etag)]).await;

    assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(known.header("etag"), Some(etag.as_str()));
    assert_eq!(known.header("cache-control"), Some("public, max-age=30"));
    assert_eq!(app.proxy.seen(), ["GetItem"]);
    assert_eq!(app.cost(), ("revalidated".to_owned(), 0.5));
    let other = app.ask(Method::GET, LIST, &[("if-none-match", &etag)]).await;
    assert_eq!(other.status, StatusCode::OK, "the tag is of the other encoding");
}

#[tokio::test]
async fn a_list_stays_in_memory_and_is_checked_again_when_it_is_no_longer_fresh() {
    let app = TestApp::published().await;
    app.get(LIST).await;
    let (cache, units) = app.cost();
    assert_eq!(cache, "store");
    // The emulator does not report the cost of a batch.
    assert!(units >= 0.5, "{units}");
    let asked = app.asked();

    app.wait(29);
    app.get(LIST).await;
    assert_eq!((app.cost(), app.asked()), (("memory".to_owned(), 0.0), asked));

    app.wait(1);
    app.get(LIST).await;
    assert_eq!((app.cost(), app.asked()), (("revalidated".to_owned(), 0.5), asked + 1));
}

#[tokio::test]
async fn a_new_list_is_served_once_the_old_one_is_no_longer_fresh() {
    let app = TestApp::new().await;
    let first = app.publish("try", &NAMES[..2], None).await;
    assert_eq!(names(&app.get(LIST).await), NAMES[..2]);
    app.publish("try", &NAMES, Some(&first)).await;
    assert_eq!(names(&app.get(LIST).await), NAMES[..2]);
    app.wait(30);
    assert_eq!(names(&app.get(LIST).await), NAMES);
    assert_eq!(app.cost().0, "store");
}

#[tokio::test]
async fn filters_pages_and_fields_select_a_part_of_the_list() {
    let app = TestApp::published().await;
    let found = app.get(&format!("{LIST}?search=mochitest+linux64&option=opt")).await;
    assert_eq!(names(&found), NAMES[2..4]);
    let found = async |query: &str| names(&app.get(&format!("{LIST}?search={query}")).await);
    assert_eq!(found("mochitest+%5Eubuntu+opt%24").await, NAMES[2..4]);
    assert_eq!(found("talos+%7C+zzz").await, NAMES[5..]);
    assert_eq!(found("!talos").await, NAMES[..5]);
    assert!(found("MOCHITEST").await.is_empty(), "a word with capitals has to match their case");
    assert_eq!(app.get(&format!("{LIST}?search=!")).await.body, app.get(LIST).await.body);
    let page = app.get(&format!("{LIST}?offset=1&count=2")).await.json::<RunnableJobs>();
    assert_eq!((page.meta.offset, page.meta.count, page.meta.total), (1, 2, Some(6)));
    assert_eq!(page.results.len(), 2);
    let fields = app.get(&format!("{LIST}?platform=windows7-32&fields=ref_data_name,platform")).await;
    let expected = r#"{"meta":{"repository":"try","offset":0,"count":1,"total":1},"results":[{"platform":"windows7-32","ref_data_name":"Windows 7 32-bit try pgo talos svgr"}]}"#;
    assert_eq!(String::from_utf8(fields.body).unwrap(), expected);
}

#[tokio::test]
async fn treeherders_page_and_setas_client_get_the_whole_list() {
    let app = TestApp::published().await;
    let list = app.get(LIST).await;
    let tag = list.header("etag").unwrap().to_owned();
    for query in [
        "decisionTaskID=",
        "decision_task_id=RGxvyxsJRdWoCXCpZAkSTA",
        "decision_task_id=RGxvyxsJRdWoCXCpZAkSTA&format=json",
        "decisionTaskID=RGxvyxsJRdWoCXCpZAkSTA&format=json",
        "decision_task_id=RGxvyxsJRdWoCXCpZAkSTA&push_id=417321",
    ] {
        let path = format!("{LIST}?{query}");
        let asked = app.get(&path).await;
        assert_eq!((asked.status, asked.body == list.body), (StatusCode::OK, true), "{query}");
        for header in ["etag", "cache-control", "last-modified", "vary"] {
            assert_eq!(asked.header(header), list.header(header), "{query}: {header}");
        }
        let again = app.ask(Method::GET, &path, &[("if-none-match", &tag)]).await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{query}");
    }
}

#[tokio::test]
async fn a_filtered_answer_has_a_tag_of_its_own_in_each_encoding() {
    let app = TestApp::published().await;
    let path = format!("{LIST}?search=try");
    let gzip = ("accept-encoding", "gzip");
    let (plain, packed) = (app.get(&path).await, app.ask(Method::GET, &path, &[gzip]).await);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(unpack(&packed.body).unwrap(), plain.body);
    let tags = [&plain, &packed].map(|answer| answer.header("etag").unwrap().to_owned());
    assert_ne!(tags[0], tags[1]);
    let known = |tag: String, path: String| {
        let app = &app;
        async move { app.ask(Method::GET, &path, &[("if-none-match", &tag)]).await.status }
    };
    assert_eq!(known(tags[0].clone(), path.clone()).await, StatusCode::NOT_MODIFIED);
    assert_eq!(known(tags[1].clone(), path.clone()).await, StatusCode::OK);
    assert_eq!(known(tags[0].clone(), format!("{LIST}?search=talos")).await, StatusCode::OK);
}

#[tokio::test]
async fn a_grid_has_the_jobs_of_the_list_as_columns() {
    let app = TestApp::published().await;
    let grid: Grid = app.get(&format!("{LIST}?view=grid")).await.json();
    let mut shown = Vec::new();
    let mut name = String::new();
    for (shared, rest) in grid.jobs.shared.iter().zip(&grid.jobs.rest) {
        name.truncate(usize::try_from(*shared).unwrap());
        name.push_str(rest);
        shown.push(name.clone());
    }
    assert_eq!(shown, NAMES);
    assert_eq!((grid.meta.repository.as_str(), grid.meta.total), ("try", 6));
    assert_eq!((grid.builds.as_slice(), grid.jobs.upstream[2]), ([BUILD.to_owned()].as_slice(), Some(0)));
    assert_eq!((grid.build_systems.len(), grid.jobs.tier[0]), (1, None));

    let found: Grid = app.get(&format!("{LIST}?view=grid&search=mochitest&option=opt")).await.json();
    assert_eq!((found.jobs.rest[0].as_str(), found.meta.total), (NAMES[2], 2));
}

#[tokio::test]
async fn a_grid_is_compressed_and_not_sent_again_to_a_client_that_has_it() {
    let app = TestApp::published().await;
    for path in [format!("{LIST}?view=grid"), format!("{LIST}?view=grid&search=try")] {
        let gzip = ("accept-encoding", "gzip");
        let (plain, packed) = (app.get(&path).await, app.ask(Method::GET, &path, &[gzip]).await);
        // A filtered grid is compressed only if it is large enough.
        if packed.header("content-encoding").is_some() {
            assert_eq!(unpack(&packed.body).unwrap(), plain.body);
        }
        for (answer, headers) in [(&plain, &[][..]), (&packed, &[gzip])] {
            assert_eq!(answer.header("last-modified"), Some("Mon, 23 Nov 2026 06:00:00 GMT"));
            assert_eq!(answer.header("cache-control"), Some("public, max-age=30"));
            let tag = ("if-none-match", answer.header("etag").unwrap());
            let again = app.ask(Method::GET, &path, &[headers, &[tag]].concat()).await;
            assert_eq!((again.status, again.header("etag")), (StatusCode::NOT_MODIFIED, Some(tag.1)), "{path}");
        }
        let asked = app.asked();
        app.get(&path).await;
        assert_eq!(app.asked(), asked, "the second one is from memory");
    }
    app.get(&format!("{LIST}?view=grid&count=10")).await.problem(StatusCode::BAD_REQUEST, "bad_parameter");
}

#[tokio::test]
async fn a_wrong_parameter_is_named() {
    let app = TestApp::published().await;
    for (path, parameter) in [
        (format!("{LIST}?colour=red"), "colour"),
        (format!("{LIST}?count=many"), "count"),
        (format!("{LIST}?format=api"), "format"),
        (format!("{LIST}?view=table"), "view"),
        (format!("{LIST}?view=grid&fields=tier"), "fields"),
        (format!("{LIST}{}/?format=json", BUILD.replace(' ', "%20")), "format"),
        (format!("{LIST}{}/?colour=red", BUILD.replace(' ', "%20")), "colour"),
        ("/api/projects/?count=1".to_owned(), "count"),
    ] {
        let problem = app.get(&path).await.problem(StatusCode::BAD_REQUEST, "bad_parameter");
        assert_eq!(problem["parameter"], parameter);
    }
}

#[tokio::test]
async fn a_list_that_does_not_fit_into_a_response_is_served_as_gzip_or_in_pages() {
    let app = TestApp::new().await;
    let many: Vec<String> =
        (1..8000).map(|chunk| format!("Ubuntu VM 12.04 x64 try opt test mochitest-{chunk}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    app.publish("try", &many, None).await;
    let problem = app.get(LIST).await.problem(StatusCode::NOT_ACCEPTABLE, "answer_too_large");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("Accept-Encoding: gzip") && detail.contains("count and offset"), "{detail}");
    assert_eq!(app.ask(Method::GET, LIST, &[("accept-encoding", "gzip")]).await.status, StatusCode::OK);
    assert_eq!(names(&app.get(&format!("{LIST}?count=2000")).await).len(), 2000);
}

#[tokio::test]
async fn a_job_comes_with_its_build_and_its_tests() {
    let app = TestApp::published().await;
    let build = format!("{LIST}Linux%20x86-64%20try%20build");
    for path in [build.clone(), format!("{build}/")] {
        let found = app.get(&path).await.json::<JobWithRelatives>();
        assert_eq!(found.job.ref_data_name.as_deref(), Some(BUILD));
        let tests: Vec<_> = found.tests.into_iter().map(|test| test.ref_data_name.unwrap()).collect();
        assert_eq!(tests, NAMES[2..4]);
    }
    let test = app.get(&format!("{LIST}{}/", NAMES[2].replace(' ', "%20"))).await.json::<JobWithRelatives>();
    assert_eq!(test.upstream_build.unwrap().ref_data_name.as_deref(), Some(BUILD));
}

#[tokio::test]
async fn a_name_that_differs_in_case_or_blanks_finds_the_job() {
    let app = TestApp::published().await;
    let path = format!("{LIST}linux%20%20x86-64%20TRY%20build%20/");
    let found = app.get(&path).await.json::<JobWithRelatives>();
    assert_eq!(found.job.ref_data_name.as_deref(), Some(BUILD));
    assert_eq!(found.meta.asked_as.as_deref(), Some("linux  x86-64 TRY build "));
    assert_eq!(found.tests.len(), 2);
    let exact = app.get(&format!("{LIST}{}/", BUILD.replace(' ', "%20"))).await.json::<JobWithRelatives>();
    assert_eq!(exact.meta.asked_as, None);
}

#[tokio::test]
async fn the_longest_name_that_a_list_can_have_is_found() {
    let app = TestApp::new().await;
    let longest = "\u{e9}".repeat(MAX_NAME / 2);
    app.publish("try", &[&longest], None).await;
    let found = app.get(&format!("{LIST}{}/", "%C3%A9".repeat(MAX_NAME / 2))).await.json::<JobWithRelatives>();
    assert_eq!(found.job.ref_data_name.as_deref(), Some(longest.as_str()));
}

#[tokio::test]
async fn a_label_with_slashes_is_found_encoded_or_not() {
    let app = TestApp::new().await;
    app.publish("try", &["test-linux64/opt-mochitest-1"], None).await;
    for path in ["test-linux64/opt-mochitest-1/", "test-linux64%2Fopt-mochitest-1"] {
        let found = app.get(&format!("{LIST}{path}")).await.json::<JobWithRelatives>();
        assert_eq!(found.job.ref_data_name.as_deref(), Some("test-linux64/opt-mochitest-1"));
    }
}

#[tokio::test]
async fn the_answer_to_an_unknown_job_suggests_similar_names() {
    let app = TestApp::published().await;
    let asked = app.get(&format!("{LIST}Linux%20x86-64%20try%20buidl/")).await;
    let problem = asked.problem(StatusCode::NOT_FOUND, "unknown_job");
    assert_eq!(problem["closest"][0], BUILD);
    assert!(problem["detail"].as_str().unwrap().contains(BUILD));
}

#[tokio::test]
async fn the_answer_to_an_unknown_project_suggests_similar_names() {
    let app = TestApp::published().await;
    app.publish("mozilla-central", &NAMES[..1], None).await;
    let asked = app.get("/api/project/mozila-central/runnable_jobs/").await;
    let problem = asked.problem(StatusCode::NOT_FOUND, "unknown_project");
    assert_eq!(problem["closest"], serde_json::json!(["mozilla-central"]));
    assert_eq!(problem["detail"], "There is no project 'mozila-central'. Did you mean mozilla-central?");
    for impossible in ["a%20b", "%F0%9F%A6%8A", "..%2F..", &"x".repeat(101)] {
        let asked = app.get(&format!("/api/project/{impossible}/runnable_jobs/")).await;
        asked.problem(StatusCode::NOT_FOUND, "unknown_project");
    }
}

#[tokio::test]
async fn requests_for_unknown_projects_do_not_run_up_the_stores_bill() {
    let app = TestApp::published().await;
    for number in 0..20 {
        let asked = app.get(&format!("/api/project/no-{number}/runnable_jobs/")).await;
        asked.problem(StatusCode::NOT_FOUND, "unknown_project");
    }
    // The first pointer, and the names.
    assert_eq!(app.asked(), 2);
    // A new project is found when the names are no longer fresh.
    app.publish("no-7", &NAMES[..1], None).await;
    app.wait(30);
    assert_eq!(app.get("/api/project/no-7/runnable_jobs/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_project_that_was_removed_is_unknown() {
    let app = TestApp::new().await;
    let pointer = app.publish("try", &NAMES, None).await;
    assert_eq!(app.get(LIST).await.status, StatusCode::OK);
    app.table.remove("try", &pointer, morning()).await.unwrap();
    app.wait(30);
    app.get(LIST).await.problem(StatusCode::NOT_FOUND, "unknown_project");
}
