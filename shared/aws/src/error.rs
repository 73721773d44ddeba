/// The secret that holds some of the variables cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the secret {arn} cannot be read")]
pub struct SecretError {
    /// Where it lies.
    pub arn: String,
    /// Why.
    #[source]
    pub cause: Box<dyn std::error::Error + Send + Sync>,
}
