use attendance::ports::StoreError;

/// Why the service cannot start on AWS.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// A variable has a value that does not parse.
    #[error("{name} is `{value}`; allowed is {allowed}")]
    Setting {
        /// The variable.
        name: String,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// A variable is not set, and there is no default.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// The secret cannot be read.
    #[error("the secret {arn} cannot be read")]
    Secret {
        /// Where it lies.
        arn: String,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The error of one call, with everything beneath it: the SDK's own text names the operation alone.
pub(crate) fn unavailable<E>(error: E) -> StoreError
where
    E: std::error::Error + Send + Sync + 'static,
{
    StoreError::unavailable(error)
}
