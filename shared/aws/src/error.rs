/// The secret that holds some of the variables could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the secret {arn} cannot be read")]
pub struct SecretError {
    /// The secret's ARN.
    pub arn: String,
    /// The cause.
    #[source]
    pub cause: Box<dyn std::error::Error + Send + Sync>,
}
