use attendance::{Environment, SettingError};

/// Where the parts of the stack are.
#[derive(Debug, Clone)]
pub struct AwsSettings {
    /// `AWS_ENDPOINT_URL`: a local stack instead of AWS.
    pub endpoint: Option<String>,
    /// `ATTENDANCE_TABLE`.
    pub table: String,
    /// `ATTENDANCE_BUCKET`.
    pub bucket: String,
    /// `ATTENDANCE_DELIVERY_QUEUE`: the URL of the queue of wakeups. Only functions that send to it need it.
    pub delivery_queue: Option<String>,
    /// `ATTENDANCE_PUSH_ENDPOINT`: the WebSocket API's management endpoint, with its stage. Only functions that push have
    /// it. `AWS_ENDPOINT_URL` would lead to a path without the API's id.
    pub push_endpoint: Option<String>,
}

impl AwsSettings {
    /// Returns the settings in `AWS_ENDPOINT_URL`, `ATTENDANCE_TABLE`, `ATTENDANCE_BUCKET`, `ATTENDANCE_DELIVERY_QUEUE` and
    /// `ATTENDANCE_PUSH_ENDPOINT`.
    ///
    /// # Errors
    /// [`SettingError::Missing`] if the table or the bucket is not named.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingError> {
        let optional = |name| environment.text(name).map(str::to_owned);
        Ok(Self {
            endpoint: optional("AWS_ENDPOINT_URL"),
            table: environment.required("ATTENDANCE_TABLE")?.to_owned(),
            bucket: environment.required("ATTENDANCE_BUCKET")?.to_owned(),
            delivery_queue: optional("ATTENDANCE_DELIVERY_QUEUE"),
            push_endpoint: optional("ATTENDANCE_PUSH_ENDPOINT"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_must_be_named() {
        let message = |environment| AwsSettings::from_environment(&environment).unwrap_err().to_string();
        assert_eq!(message(Environment::default()), "ATTENDANCE_TABLE is not set");
        assert_eq!(message(Environment::from([("ATTENDANCE_TABLE", "t")])), "ATTENDANCE_BUCKET is not set");
    }
}
