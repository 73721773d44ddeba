use attendance::{Environment, SettingError};

/// Where the stack's parts are.
#[derive(Debug, Clone)]
pub struct AwsSettings {
    /// `AWS_ENDPOINT_URL`: a local stack instead of AWS.
    pub endpoint: Option<String>,
    /// `ATTENDANCE_TABLE`.
    pub table: String,
    /// `ATTENDANCE_BUCKET`.
    pub bucket: String,
    /// `ATTENDANCE_DELIVERY_QUEUE`: the URL of the queue of events that wait for their next try. Functions that send to it
    /// have it.
    pub delivery_queue: Option<String>,
    /// `ATTENDANCE_PUSH_ENDPOINT`: the WebSocket API's management endpoint, with its stage. Functions that push have
    /// it; the endpoint override would lead to a path without the API's id.
    pub push_endpoint: Option<String>,
}

impl AwsSettings {
    /// The settings that these variables hold.
    ///
    /// # Errors
    /// [`SettingError::Missing`] where the table or the bucket is not named.
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
