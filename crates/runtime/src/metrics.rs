//! Log lines that are metrics at the same time, in `CloudWatch`'s embedded format: a line of JSON whose member `_aws` names
//! those of its other members that are metrics
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use chrono::{DateTime, Utc};
use serde_json::{Number, Value, json};

/// A metric: its name, `CloudWatch`'s word for its unit, and its value.
pub type Metric<'n> = (&'n str, &'static str, Number);

/// Makes a line, which is an object, say what was measured at `at`. Metrics have no dimensions: each combination is billed as
/// a metric of its own.
///
/// What is 0 is in the line, but is named as no metric: a metric is billed for each hour in which it is named, and most that
/// count failures never have another value. Alarms take what is missing for 0.
pub fn add(line: &mut Value, at: DateTime<Utc>, metrics: &[Metric<'_>]) {
    name(line, at, metrics.iter().filter(|metric| metric.2.as_f64() != Some(0.0)));
    for (name, _, value) in metrics {
        line[*name] = Value::Number(value.clone());
    }
}

/// The same for what happens so seldom that its 0 is worth being told: that it is no longer another ends an alarm.
pub fn add_all(line: &mut Value, at: DateTime<Utc>, metrics: &[Metric<'_>]) {
    add(line, at, metrics);
    name(line, at, metrics.iter());
}

fn name<'m>(line: &mut Value, at: DateTime<Utc>, metrics: impl Iterator<Item = &'m Metric<'m>>) {
    let named: Vec<Value> = metrics.map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
    if !named.is_empty() {
        line["_aws"] = json!({
            "Timestamp": at.timestamp_millis(),
            "CloudWatchMetrics": [{"Namespace": "RunnableJobs", "Dimensions": [[]], "Metrics": named}],
        });
    }
}

/// A number of seconds, milliseconds or units as the value of a metric.
pub fn measured(value: f64) -> Number {
    // Neither infinity nor what is no number comes of measuring.
    Number::from_f64(value).unwrap_or_else(|| 0.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_zero_is_a_metric() {
        let at = DateTime::from_timestamp(1_795_413_600, 0).unwrap();
        let mut line = json!({"level": "INFO"});
        add(
            &mut line,
            at,
            &[
                ("SweepQueued", "Count", 2.into()),
                ("SweepFailed", "Count", 0.into()),
                ("Age", "Seconds", measured(0.5)),
            ],
        );
        let expected = json!({
            "level": "INFO",
            "_aws": {
                "Timestamp": 1_795_413_600_000_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "RunnableJobs",
                    "Dimensions": [[]],
                    "Metrics": [{"Name": "SweepQueued", "Unit": "Count"}, {"Name": "Age", "Unit": "Seconds"}],
                }],
            },
            "SweepQueued": 2,
            "SweepFailed": 0,
            "Age": 0.5,
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn a_line_without_metrics_is_a_line() {
        let mut line = json!({});
        add(&mut line, DateTime::UNIX_EPOCH, &[("SweepFailed", "Count", 0.into()), ("Age", "Seconds", measured(0.0))]);
        assert_eq!(line, json!({"SweepFailed": 0, "Age": 0.0}));
    }

    #[test]
    fn a_zero_that_is_worth_it_is_a_metric() {
        let mut line = json!({});
        add_all(&mut line, DateTime::UNIX_EPOCH, &[("IngestRefused", "Count", 0.into())]);
        let named = &line["_aws"]["CloudWatchMetrics"][0]["Metrics"];
        assert_eq!((named, &line["IngestRefused"]), (&json!([{"Name": "IngestRefused", "Unit": "Count"}]), &json!(0)));
    }
}
