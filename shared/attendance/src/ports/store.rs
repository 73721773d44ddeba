use super::Cause;

/// Why a store did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It does not answer, is full, or is busy for too long; nothing was half-written, and a later try may succeed.
    #[error("a store does not answer")]
    Unavailable(#[source] Cause),
    /// What it holds is not what was written: a person has to look.
    #[error("a store holds damaged data")]
    Damaged(#[source] Cause),
}

impl StoreError {
    /// The store does not answer, for this reason.
    pub fn unavailable(cause: impl Into<Cause>) -> Self {
        Self::Unavailable(cause.into())
    }

    /// The store holds damaged data, for this reason.
    pub fn damaged(cause: impl Into<Cause>) -> Self {
        Self::Damaged(cause.into())
    }
}
