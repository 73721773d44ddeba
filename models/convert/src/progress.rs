//! How far a pull is. This crate draws nothing.

/// Where a pull stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// What is being done, to be shown as it is.
    pub step: &'a str,
    /// Bytes done in this step.
    pub done: u64,
    /// Bytes of the whole step, where they are known; `done` may pass it by a little.
    pub total: Option<u64>,
}

/// Takes every change of progress, some ten a second at most.
pub type Report<'a> = dyn FnMut(Progress<'_>) + 'a;
