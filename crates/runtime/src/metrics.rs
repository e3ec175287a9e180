//! Metrics in log lines, in `CloudWatch`'s embedded format: the member `_aws` of a JSON line names the members that are
//! metrics
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use chrono::{DateTime, Utc};
use serde_json::{Number, Value, json};

use crate::Incident;

/// The metric of the one alarm that watches all incidents.
pub const INCIDENTS: &str = "Incidents";

/// A metric: its name, `CloudWatch`'s word for its unit, and its value.
pub type Metric<'n> = (&'n str, &'static str, Number);

/// Adds metrics to a line, which must be an object. Metrics have no dimensions, because each combination of dimensions
/// is billed as a separate metric.
///
/// A value of 0 is left out: a metric is billed for each hour in which it occurs, and these count failures, which are
/// rare. Alarms treat missing data as 0. Numbers that have a value in every hour belong in the line alone.
pub fn add(line: &mut Value, at: DateTime<Utc>, metrics: &[Metric<'_>]) {
    let metrics = metrics.iter().filter(|metric| metric.2.as_f64() != Some(0.0));
    let mut named = Vec::new();
    for (name, unit, value) in metrics {
        named.push(json!({"Name": name, "Unit": unit}));
        line[*name] = Value::Number(value.clone());
    }
    if !named.is_empty() {
        line["_aws"] = json!({
            "Timestamp": at.timestamp_millis(),
            "CloudWatchMetrics": [{"Namespace": "RunnableJobs", "Dimensions": [[]], "Metrics": named}],
        });
    }
}

/// Like `add`, with the incidents that this line reports: the metric `Incidents` is the sum of their weights, and `incident`
/// has the sections of docs/operations.md that say what to do.
pub fn add_with_incidents(line: &mut Value, at: DateTime<Utc>, metrics: &[Metric<'_>], incidents: &[Incident]) {
    let weight = incidents.iter().map(|incident| incident.weight()).sum();
    let mut metrics = metrics.to_vec();
    metrics.push((INCIDENTS, "Count", measured(weight)));
    add(line, at, &metrics);
    if !incidents.is_empty() {
        let mut sections: Vec<&str> = incidents.iter().map(|incident| incident.section()).collect();
        sections.dedup();
        line["incident"] = sections.join("; ").into();
    }
}

/// The log line of an invocation that ends with an error.
pub fn failure(error: &dyn std::fmt::Display, at: DateTime<Utc>, incident: Incident) -> Value {
    let mut line = json!({"level": "ERROR", "error": error.to_string()});
    add_with_incidents(&mut line, at, &[], &[incident]);
    line
}

/// Converts a number of seconds, milliseconds or units to the value of a metric.
pub fn measured(value: f64) -> Number {
    // Measuring yields neither infinity nor NaN.
    Number::from_f64(value).unwrap_or_else(|| 0.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_other_than_zero_are_metrics() {
        let at = DateTime::from_timestamp(1_795_413_600, 0).unwrap();
        let mut line = json!({"level": "INFO"});
        let metrics = [("JobsErrors", "Count", 2.into()), ("JobsStale", "Count", 0.into())];
        add(&mut line, at, &metrics);
        let expected = json!({
            "level": "INFO",
            "_aws": {
                "Timestamp": 1_795_413_600_000_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "RunnableJobs",
                    "Dimensions": [[]],
                    "Metrics": [{"Name": "JobsErrors", "Unit": "Count"}],
                }],
            },
            "JobsErrors": 2,
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn a_line_of_zeros_has_no_metrics() {
        let mut line = json!({});
        add_with_incidents(&mut line, DateTime::UNIX_EPOCH, &[("SweepFailed", "Count", 0.into())], &[]);
        assert_eq!(line, json!({}));
    }

    #[test]
    fn a_line_with_incidents_names_the_sections_that_say_what_to_do() {
        let mut line = json!({});
        let incidents = [Incident::ForwardRefused, Incident::ForwardFailed];
        add_with_incidents(&mut line, DateTime::UNIX_EPOCH, &[("ForwardFailed", "Count", 3.into())], &incidents);
        assert_eq!((&line["Incidents"], &line["incident"]), (&json!(2.0), &json!("Pulse refuses; Jobs failed")));
        let metrics = &line["_aws"]["CloudWatchMetrics"][0]["Metrics"];
        assert_eq!((&metrics[0]["Name"], &metrics[1]["Name"]), (&json!("ForwardFailed"), &json!("Incidents")));
    }

    #[test]
    fn an_invocation_that_fails_leaves_its_reason_and_an_incident() {
        let line = failure(&"no table", DateTime::UNIX_EPOCH, Incident::SweepFailed);
        assert_eq!((&line["error"], &line["Incidents"]), (&json!("no table"), &json!(1.0)));
        assert_eq!((&line["level"], &line["incident"]), (&json!("ERROR"), &json!("The sweep fails")));
    }
}
