//! Failures that an operator has to know of. One alarm watches all of them, through one metric.

/// A failure that has no alarm of its own. The metric `Incidents` adds up the weights, and its alarm sounds at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incident {
    /// A stored item cannot be read.
    DamagedItems,
    /// The dead-letter queue has messages.
    DeadLetters,
    /// A round of following failed: what became of jobs is not recorded.
    FollowFailed,
    /// Jobs failed on their way to Pulse or Taskcluster.
    ForwardFailed,
    /// Pulse refuses the connection or a message.
    ForwardRefused,
    /// A function cannot do its work.
    FunctionFailed,
    /// An ingest failed.
    IngestFailed,
    /// An ingest was refused.
    IngestRefused,
    /// A list or a job's name came from memory, because the store did not answer.
    Stale,
    /// A request could not be queued, or was given up.
    SweepFailed,
    /// An ingest of Taskcluster failed, or was refused, for some projects.
    TaskclusterIngest,
    /// Taskcluster does not accept the credentials, or scopes are missing.
    TaskclusterRefused,
}

impl Incident {
    /// All incidents.
    pub const ALL: [Self; 12] = [
        Self::DamagedItems,
        Self::DeadLetters,
        Self::FollowFailed,
        Self::ForwardFailed,
        Self::ForwardRefused,
        Self::FunctionFailed,
        Self::IngestFailed,
        Self::IngestRefused,
        Self::Stale,
        Self::SweepFailed,
        Self::TaskclusterIngest,
        Self::TaskclusterRefused,
    ];

    /// Those whose count is not 0.
    pub fn that_occurred(counted: &[(u32, Self)]) -> Vec<Self> {
        counted.iter().filter(|(count, _)| *count > 0).map(|(_, incident)| *incident).collect()
    }

    /// The section of docs/operations.md that says what to do. The log line has it, as `incident`.
    pub const fn section(self) -> &'static str {
        match self {
            Self::DamagedItems => "Stored items cannot be read",
            Self::DeadLetters => "Dead letters",
            Self::FollowFailed => "Jobs are not followed",
            Self::ForwardFailed => "Jobs failed",
            Self::ForwardRefused => "Pulse refuses",
            Self::FunctionFailed | Self::IngestFailed => "A function fails",
            Self::IngestRefused => "An ingest was refused",
            Self::Stale => "Lists are served without the store",
            Self::SweepFailed => "The sweep fails",
            Self::TaskclusterIngest => "Ingests of Taskcluster",
            Self::TaskclusterRefused => "Taskcluster refuses",
        }
    }

    /// What it adds to the metric. The store may be unavailable for a moment: three stale answers sound the alarm.
    pub const fn weight(self) -> f64 {
        match self {
            Self::Stale => 0.34,
            _ => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_incident_has_a_section_in_the_operators_documentation() {
        let operations = include_str!("../../../docs/operations.md");
        for incident in Incident::ALL {
            let section = incident.section();
            assert!(operations.contains(&format!("# {section}\n")), "{section}");
        }
    }

    #[test]
    fn three_stale_answers_are_an_incident_and_two_are_not() {
        let weight = Incident::Stale.weight();
        assert!(2.0 * weight < 1.0 && 3.0 * weight >= 1.0);
    }
}
