//! The build that a test needs: the one that sets off the test's scheduler.
//!
//! The rule is that of mozci's `determine_upstream_builder`. A build's shortname is its builddir, with the build type
//! in it (`mozilla-inbound-linux64-debug`), and a trigger is such a name with one or two ends.

use std::collections::HashMap;

use string_interner::Symbol as _;
use string_interner::symbol::SymbolU32;

use crate::buildbot::dump::{Builder, Dump, TestScheduler};

/// The ends that are cut from a trigger, in this order.
const ENDS: [&str; 4] = ["-opt-unittest", "-unittest", "-talos", "-pgo"];

impl Dump {
    /// For each test that a scheduler starts, at the place of its symbol: the build that sets off the scheduler.
    pub(crate) fn upstream_builds(&self) -> Vec<Option<SymbolU32>> {
        let builds = Builds::new(self);
        // Where several schedulers start a test, the first by name that has a build decides: the order of the document
        // does not count.
        let mut schedulers: Vec<&TestScheduler> = self.schedulers.iter().collect();
        schedulers.sort_unstable_by_key(|scheduler| self.text(scheduler.name));
        let mut upstream = vec![None; self.places()];
        for scheduler in schedulers {
            // The tests of a scheduler are mostly of one branch, so the answer for the last branch mostly holds.
            let mut last: Option<(Option<SymbolU32>, Option<SymbolU32>)> = None;
            for test in &scheduler.downstream {
                let Some(builder) = self.builder(*test).filter(|builder| builder.is_test) else { continue };
                let place = &mut upstream[test.to_usize()];
                if place.is_some() {
                    continue;
                }
                *place = match last {
                    Some((branch, build)) if branch == builder.branch => build,
                    _ => builds.behind(self.text(scheduler.trigger), builder.branch),
                };
                last = Some((builder.branch, *place));
            }
        }
        upstream
    }
}

/// The builds of a dump by their shortnames.
struct Builds<'d> {
    dump: &'d Dump,
    by_shortname: HashMap<SymbolU32, Vec<SymbolU32>>,
}

impl<'d> Builds<'d> {
    fn new(dump: &'d Dump) -> Self {
        let mut by_shortname: HashMap<SymbolU32, Vec<SymbolU32>> = HashMap::new();
        for (name, builder) in dump.builders().filter(|(_, builder)| !builder.is_test) {
            if let Some(shortname) = builder.shortname {
                by_shortname.entry(shortname).or_default().push(name);
            }
        }
        for same_shortname in by_shortname.values_mut() {
            same_shortname.sort_unstable_by_key(|name| dump.text(*name));
        }
        Self { dump, by_shortname }
    }

    /// The build that a trigger stands for, seen from a test of this branch.
    fn behind(&self, trigger: &str, branch: Option<SymbolU32>) -> Option<SymbolU32> {
        let mut rest = trigger;
        for end in ENDS {
            let Some(cut) = rest.strip_suffix(end) else { continue };
            rest = cut;
            if let Some(build) = self.with_shortname(rest, branch) {
                return Some(build);
            }
        }
        // A trigger without any of the ends can only be a builddir itself.
        if rest.len() == trigger.len()
            && let Some(build) = self.with_shortname(rest, branch)
        {
            return Some(build);
        }
        let b2g = format!("b2g_{}_dep", rest.replace("-emulator", "_emulator"));
        self.with_shortname(&b2g, branch).or_else(|| self.with_name(&b2g))
    }

    /// The build with this shortname: that of the test's own branch, else the first by name.
    fn with_shortname(&self, shortname: &str, branch: Option<SymbolU32>) -> Option<SymbolU32> {
        let found = self.by_shortname.get(&self.dump.names.get(shortname)?)?;
        let is_of_branch =
            |build: &&SymbolU32| self.dump.builder(**build).is_some_and(|b: &Builder| b.branch == branch);
        found.iter().find(is_of_branch).or(found.first()).copied()
    }

    fn with_name(&self, name: &str) -> Option<SymbolU32> {
        let is_build = |name: &SymbolU32| self.dump.builder(*name).is_some_and(|builder| !builder.is_test);
        self.dump.names.get(name).filter(is_build)
    }
}
