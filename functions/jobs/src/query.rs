//! The query string of a list: filters, the page, and the selected fields.

use catalog::list::{FIELDS, Query, Selection};
use http_api::Problem;

use crate::problems::BAD_PARAMETER;

/// The parameters of a list, and whether each can be repeated.
const PARAMETERS: [(&str, bool); 15] = [
    ("build_system_type", true),
    ("count", false),
    ("decisionTaskID", false),
    ("decision_task_id", false),
    ("fields", false),
    ("format", false),
    ("job_group_symbol", true),
    ("job_type_symbol", true),
    ("offset", false),
    ("option", true),
    ("platform", true),
    ("push_id", false),
    ("revision", false),
    ("search", false),
    ("view", false),
];
/// The only value of `format`, which SETA's client sends.
const FORMAT: &str = "json";
/// The only value of `view`.
const GRID: &str = "grid";
/// The parameters that a grid does not have: it shows all jobs, with its own columns.
const NOT_OF_GRID: [&str; 3] = ["fields", "offset", "count"];
/// Maximum length of a parameter's value, in characters. For `fields` the number of fields is the limit. The API
/// reference documents both.
const MAX_VALUE: usize = 500;

/// What of a list a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// The list as it is stored.
    WholeList,
    /// The selected jobs.
    Jobs(Selection),
    /// The grid of the selected jobs, which may be all.
    Grid(Selection),
}

/// Reads the query string of a list.
///
/// # Errors
/// A parameter is unknown, repeated although it cannot be, not one of a grid, or has an invalid value.
pub(crate) fn view(query: Option<&str>) -> Result<View, Problem> {
    let mut wanted = Selection::default();
    let mut is_grid = false;
    let mut seen = Vec::new();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let Some(&(name, is_repeatable)) = PARAMETERS.iter().find(|(known, _)| *known == name) else {
            return Err(unknown(&name, &format!("There are {}.", PARAMETERS.map(|(known, _)| known).join(", "))));
        };
        if seen.contains(&name) && !is_repeatable {
            return Err(bad(name, format!("{name} is given more than once.")));
        }
        seen.push(name);
        let length = value.chars().count();
        let value = value.into_owned();
        if length > MAX_VALUE && name != "fields" {
            return Err(bad(name, format!("{name} has {length} characters; at most {MAX_VALUE} are read.")));
        }
        match name {
            "platform" => wanted.platform.push(value),
            "option" => wanted.option.push(value),
            "job_group_symbol" => wanted.job_group_symbol.push(value),
            "job_type_symbol" => wanted.job_type_symbol.push(value),
            "build_system_type" => wanted.build_system_type.push(value),
            "search" => wanted.query = Query::parse(&value),
            "offset" => wanted.offset = number(name, &value, 0)?,
            "count" => wanted.count = Some(number(name, &value, 1)?),
            "fields" => wanted.fields = Some(fields(&value)?),
            "view" if value == GRID => is_grid = true,
            "view" => return Err(bad(name, format!("view is '{}': {GRID} is the only one.", shown(&value)))),
            "format" if value != FORMAT => {
                return Err(bad(name, format!("format is '{}': {FORMAT} is the only one.", shown(&value))));
            }
            // `push` reads decision_task_id, decisionTaskID and revision. push_id has no effect, but Treeherder's page
            // sent it from December 2018 on.
            _ => {}
        }
    }
    if is_grid && let Some(name) = NOT_OF_GRID.into_iter().find(|name| seen.contains(name)) {
        return Err(bad(name, format!("{name} cannot be combined with view={GRID}, which has all jobs that match.")));
    }
    Ok(match wanted {
        wanted if is_grid => View::Grid(wanted),
        wanted if wanted == Selection::default() => View::WholeList,
        wanted => View::Jobs(wanted),
    })
}

/// The push whose list is wanted, as a client names it. Empty values are left out, and those that Treeherder's page sent
/// of a push without a decision task.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PushQuery {
    /// The decision task: `decision_task_id`, which was `decisionTaskID` from June to September 2016.
    pub(crate) decision_task_id: Option<String>,
    /// The revision.
    pub(crate) revision: Option<String>,
}

/// Reads the push in a query string.
pub(crate) fn push(query: Option<&str>) -> PushQuery {
    let mut push = PushQuery::default();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let named = match &*name {
            "decision_task_id" | "decisionTaskID" => &mut push.decision_task_id,
            "revision" => &mut push.revision,
            _ => continue,
        };
        if !["", "undefined", "null"].contains(&&*value) {
            *named = Some(value.into_owned());
        }
    }
    push
}

/// Checks the query string of a job: it can name a push.
///
/// # Errors
/// A parameter is unknown, or its value is too long.
pub(crate) fn of_job(query: Option<&str>) -> Result<(), Problem> {
    let is_of_push = |name: &str| ["decision_task_id", "decisionTaskID", "revision"].contains(&name);
    let other = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).find(|(name, _)| !is_of_push(name));
    if let Some((name, _)) = other {
        return Err(unknown(&name, "There are decision_task_id and revision."));
    }
    view(query).map(|_| ())
}

/// Checks the query string of a route without parameters.
///
/// # Errors
/// There is a parameter.
pub(crate) fn no_parameters(query: Option<&str>) -> Result<(), Problem> {
    match form_urlencoded::parse(query.unwrap_or_default().as_bytes()).next() {
        None => Ok(()),
        Some((name, _)) => Err(unknown(&name, "This resource takes none.")),
    }
}

fn unknown(name: &str, there_are: &str) -> Problem {
    let shown = shown(name);
    bad(&shown, format!("There is no parameter '{shown}'. {there_are}"))
}

/// The part of a client's text that an answer repeats.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

pub(crate) fn bad(parameter: &str, detail: String) -> Problem {
    Problem::new(&BAD_PARAMETER, detail).with("parameter", parameter)
}

fn number(name: &str, value: &str, least: u32) -> Result<usize, Problem> {
    let is_plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse::<u32>().ok().filter(|number| is_plain && *number >= least);
    number.and_then(|number| usize::try_from(number).ok()).ok_or_else(|| {
        bad(name, format!("{name} is '{value}': a whole number from {least} to {} is expected.", u32::MAX))
    })
}

fn fields(value: &str) -> Result<Vec<&'static str>, Problem> {
    let known = |wanted: &str| {
        FIELDS.into_iter().find(|field| *field == wanted).ok_or_else(|| {
            let detail = format!("fields has '{wanted}', which no job has. There are {}.", FIELDS.join(", "));
            bad("fields", detail)
        })
    };
    let wanted = value.split(',').count();
    if wanted > FIELDS.len() {
        let detail = format!("fields names {wanted} of the {} fields that a job has.", FIELDS.len());
        return Err(bad("fields", detail));
    }
    value.split(',').map(|field| known(field.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(query: &str) -> String {
        format!("{:?}", view(Some(query)).unwrap_err())
    }

    #[test]
    fn an_empty_query_selects_the_whole_list() {
        for query in [
            None,
            Some(""),
            Some("&"),
            Some("search="),
            Some("search=!"),
            Some("search=+^$+"),
            Some("offset=0"),
            Some("decision_task_id=Ab-_9"),
        ] {
            assert_eq!(view(query).unwrap(), View::WholeList, "{query:?}");
        }
    }

    #[test]
    fn the_parameters_of_treeherders_page_and_setas_client_select_the_whole_list() {
        for query in [
            "decisionTaskID=",
            "decisionTaskID=RGxvyxsJRdWoCXCpZAkSTA",
            "decisionTaskID=RGxvyxsJRdWoCXCpZAkSTA&format=json",
            "decision_task_id=RGxvyxsJRdWoCXCpZAkSTA&format=json",
            "decision_task_id=RGxvyxsJRdWoCXCpZAkSTA&push_id=417321",
            "decision_task_id=undefined&push_id=417321",
        ] {
            assert_eq!(view(Some(query)).unwrap(), View::WholeList, "{query}");
        }
    }

    #[test]
    fn a_push_is_named_by_its_decision_task_or_its_revision() {
        let of = |query| push(Some(query));
        let task = |id: &str| PushQuery { decision_task_id: Some(id.to_owned()), revision: None };
        assert_eq!(of("decision_task_id=RGxvyxsJRdWoCXCpZAkSTA&push_id=1"), task("RGxvyxsJRdWoCXCpZAkSTA"));
        assert_eq!(of("decisionTaskID=x%2Fy&search=a"), task("x/y"));
        assert_eq!(of("revision=abc"), PushQuery { decision_task_id: None, revision: Some("abc".to_owned()) });
        for none in
            ["", "decision_task_id=", "decision_task_id=undefined&push_id=4", "decisionTaskID=null", "revision="]
        {
            assert_eq!(of(none), PushQuery::default(), "{none}");
        }
    }

    #[test]
    fn filters_can_be_repeated_and_match_any_of_their_values() {
        let wanted = view(Some("platform=linux64&platform=win%2032&search=M-e10s+X+&count=10&fields=state,result"));
        let expected = Selection {
            query: Query::parse("M-e10s X"),
            platform: vec!["linux64".to_owned(), "win 32".to_owned()],
            fields: Some(vec!["state", "result"]),
            count: Some(10),
            ..Selection::default()
        };
        assert_eq!(wanted.unwrap(), View::Jobs(expected));
    }

    #[test]
    fn a_grid_takes_filters_and_a_search_but_no_fields_and_pages() {
        for query in [
            "view=grid",
            "view=grid&search=",
            "view=grid&search=!",
            "view=grid&decision_task_id=x",
            "push_id=1&view=grid",
        ] {
            assert_eq!(view(Some(query)).unwrap(), View::Grid(Selection::default()), "{query}");
        }
        let expected = Selection { option: vec!["opt".to_owned()], ..Selection::default() };
        assert_eq!(view(Some("view=grid&option=opt")).unwrap(), View::Grid(expected));
        for (query, said) in [
            ("view=grid&fields=platform", "fields cannot be combined with view=grid, which has all jobs that match."),
            ("offset=0&view=grid", "offset cannot be combined with view=grid"),
            ("view=grid&count=10", "count cannot be combined with view=grid"),
            ("view=list", "view is 'list': grid is the only one."),
            ("view=grid&view=grid", "view is given more than once."),
        ] {
            assert!(detail(query).contains(said), "{query}: {}", detail(query));
        }
    }

    #[test]
    fn an_error_names_the_parameter() {
        for (query, said) in [
            ("colour=red", "There is no parameter 'colour'. There are build_system_type, count, "),
            ("count=0", "count is '0': a whole number from 1 to 4294967295 is expected."),
            ("count=+1", "count is ' 1': a whole number"),
            ("count=%2B1", "count is '+1': a whole number"),
            ("offset=-1", "offset is '-1': a whole number from 0 to"),
            ("offset=1&offset=2", "offset is given more than once."),
            ("offset=4294967296", "offset is '4294967296': a whole number"),
            ("fields=", "fields has '', which no job has. There are build_platform_id, "),
            ("fields=state,colour", "fields has 'colour', which no job has."),
            ("search=a&search=b", "search is given more than once."),
            ("format=api", "format is 'api': json is the only one."),
            ("format=", "format is '': json is the only one."),
            ("push_id=1&push_id=2", "push_id is given more than once."),
            ("taskID=x", "There is no parameter 'taskID'."),
        ] {
            assert!(detail(query).contains(said), "{query}: {}", detail(query));
        }
        let repeated = ["state"; FIELDS.len() + 1].join(",");
        assert!(detail(&format!("fields={repeated}")).contains("fields names 26 of the 25 fields that a job has."));
        assert!(view(Some(&format!("fields={}", FIELDS.join(",")))).is_ok());
        assert!(
            detail(&format!("search={}", "x".repeat(501))).contains("search has 501 characters; at most 500 are read.")
        );
    }
}
