//! Metrics in log lines, in `CloudWatch`'s embedded format: the member `_aws` of a JSON line names the members that are
//! metrics
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use chrono::{DateTime, Utc};
use serde_json::{Number, Value, json};

/// A metric: its name, `CloudWatch`'s word for its unit, and its value.
pub type Metric<'n> = (&'n str, &'static str, Number);

/// Adds metrics to a line, which must be an object. Metrics have no dimensions, because each combination of dimensions
/// is billed as a separate metric.
///
/// A value of 0 is written to the line, but not as a metric: a metric is billed for each hour in which it occurs, and
/// most metrics that count failures never have another value. Alarms treat missing data as 0.
pub fn add(line: &mut Value, at: DateTime<Utc>, metrics: &[Metric<'_>]) {
    name(line, at, metrics.iter().filter(|metric| metric.2.as_f64() != Some(0.0)));
    for (name, _, value) in metrics {
        line[*name] = Value::Number(value.clone());
    }
}

/// Like `add`, but zeros are metrics too. For events so rare that a 0 must end an alarm.
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
    fn a_line_of_zeros_has_no_metrics() {
        let mut line = json!({});
        add(&mut line, DateTime::UNIX_EPOCH, &[("SweepFailed", "Count", 0.into()), ("Age", "Seconds", measured(0.0))]);
        assert_eq!(line, json!({"SweepFailed": 0, "Age": 0.0}));
    }

    #[test]
    fn add_all_makes_zeros_metrics_too() {
        let mut line = json!({});
        add_all(&mut line, DateTime::UNIX_EPOCH, &[("IngestRefused", "Count", 0.into())]);
        let named = &line["_aws"]["CloudWatchMetrics"][0]["Metrics"];
        assert_eq!((named, &line["IngestRefused"]), (&json!([{"Name": "IngestRefused", "Unit": "Count"}]), &json!(0)));
    }
}
