//! Artifacts of real decision tasks.
