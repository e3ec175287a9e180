//! The schema of a grid.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A project's jobs as columns, from which a page draws them. Words that jobs share are there once, and a number in a
/// column of `jobs` is the place of a word, from 0.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// The project, and how many jobs there are.
    pub meta: GridMeta,
    /// The platforms.
    #[schema(example = json!(["linux2404-64"]))]
    pub platforms: Vec<String>,
    /// The options.
    #[schema(example = json!(["debug", "opt"]))]
    pub options: Vec<String>,
    /// The groups.
    pub groups: Vec<GridGroup>,
    /// The symbols of job types.
    #[schema(example = json!(["bc1", "bc2"]))]
    pub symbols: Vec<String>,
    /// The build systems.
    #[schema(example = json!(["buildbot", "taskcluster"]))]
    pub build_systems: Vec<String>,
    /// The names of the builds that jobs need. They need not be jobs of the grid.
    #[schema(example = json!(["build-linux2404-64/debug"]))]
    pub builds: Vec<String>,
    /// The columns.
    pub jobs: GridColumns,
}

/// The project of a grid, and how many jobs the grid has.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GridMeta {
    /// The project.
    #[schema(example = "try")]
    pub repository: String,
    /// How many jobs match the filters: all of them are in the grid.
    pub total: u64,
}

/// A group of jobs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GridGroup {
    /// Its name; empty or `unknown` for jobs without a group.
    #[schema(example = "Mochitests")]
    pub name: String,
    /// Its symbol; empty or `?` for jobs without a group.
    #[schema(example = "M")]
    pub symbol: String,
}

/// A value for each job in each column, in the order of the jobs' names.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GridColumns {
    /// The number of characters that the job's name (`ref_data_name`) has in common with the one before.
    #[schema(example = json!([0, 27]))]
    pub shared: Vec<u64>,
    /// The rest of its name.
    #[schema(example = json!(["test-linux64/opt-mochitest-1", "2"]))]
    pub rest: Vec<String>,
    /// Its platform, in `platforms`.
    pub platform: Vec<u64>,
    /// Its option, in `options`.
    pub option: Vec<u64>,
    /// Its group, in `groups`.
    pub group: Vec<u64>,
    /// Its symbol, in `symbols`.
    pub symbol: Vec<u64>,
    /// Its tier, from 1 to 3; null for a job of Buildbot.
    pub tier: Vec<Option<u8>>,
    /// Its build system, in `build_systems`.
    pub build_system: Vec<u64>,
    /// The build that it needs, in `builds`; null if it needs none.
    pub upstream: Vec<Option<u64>>,
}
