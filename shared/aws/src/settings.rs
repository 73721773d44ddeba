//! The variables of the contract and of the stack, each read once, during a function's start, into typed settings.

use std::collections::HashMap;
use std::time::Duration;

use attendance::{MultiFace, RetryPolicy, Tolerance};

use crate::AwsError;

/// A function's variables.
#[derive(Clone)]
pub struct Environment(HashMap<String, String>);

/// Where the stack's parts are.
#[derive(Debug, Clone)]
pub struct AwsSettings {
    /// `AWS_ENDPOINT_URL`: a local stack instead of AWS.
    pub endpoint: Option<String>,
    /// `ATTENDANCE_TABLE`.
    pub table: String,
    /// `ATTENDANCE_BUCKET`.
    pub bucket: String,
    /// `ATTENDANCE_DELIVERY_QUEUE`: the URL of the queue of events that wait for their next try.
    pub delivery_queue: String,
    /// `ATTENDANCE_PUSH_ENDPOINT`: the WebSocket API's management endpoint, with its stage. Functions that push have
    /// it; the endpoint override would lead to a path without the API's id.
    pub push_endpoint: Option<String>,
}

impl Environment {
    /// These variables.
    #[must_use]
    pub fn of(variables: &[(&str, &str)]) -> Self {
        Self(variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    pub(crate) fn of_process() -> Self {
        Self(std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?))).collect())
    }

    /// These, and those of a JSON object where these have none.
    pub(crate) fn with_secret(mut self, json: &str) -> Result<Self, serde_json::Error> {
        let secret: HashMap<String, String> = serde_json::from_str(json)?;
        for (name, value) in secret {
            if self.text(&name).is_none() {
                self.0.insert(name, value);
            }
        }
        Ok(self)
    }

    /// The variable's text; an empty one counts as absent.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|v| v.trim()).filter(|v| !v.is_empty())
    }

    /// The variable's value, or `default` where it is absent.
    ///
    /// # Errors
    /// [`AwsError::Setting`] where `parse` does not take it; the message says what is `allowed`.
    pub fn value<T>(
        &self,
        name: &str,
        default: T,
        allowed: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, AwsError> {
        let Some(text) = self.text(name) else { return Ok(default) };
        parse(text).ok_or_else(|| AwsError::Setting { name: name.into(), value: text.into(), allowed: allowed.into() })
    }

    /// Whether a switch is on.
    ///
    /// # Errors
    /// [`AwsError::Setting`].
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, AwsError> {
        self.value(name, default, "true or false", |text| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        })
    }

    fn seconds(&self, name: &str, default: u64, least: f64, most: f64) -> Result<Duration, AwsError> {
        let allowed = format!("a number of seconds from {least} to {most}");
        self.value(name, Duration::from_secs(default), &allowed, |text| {
            let seconds: f64 = text.parse().ok()?;
            (least..=most).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
        })
    }

    /// Where the stack's parts are.
    ///
    /// # Errors
    /// [`AwsError::Missing`].
    pub fn aws(&self) -> Result<AwsSettings, AwsError> {
        let required = |name| self.text(name).map(str::to_owned).ok_or(AwsError::Missing(name));
        Ok(AwsSettings {
            endpoint: self.text("AWS_ENDPOINT_URL").map(str::to_owned),
            table: required("ATTENDANCE_TABLE")?,
            bucket: required("ATTENDANCE_BUCKET")?,
            delivery_queue: required("ATTENDANCE_DELIVERY_QUEUE")?,
            push_endpoint: self.text("ATTENDANCE_PUSH_ENDPOINT").map(str::to_owned),
        })
    }

    /// `ATTENDANCE_ACCESS_KEY`: one or more keys, separated by spaces.
    ///
    /// # Errors
    /// [`AwsError::Missing`]: on AWS a key is required.
    pub fn access_keys(&self) -> Result<&str, AwsError> {
        self.text("ATTENDANCE_ACCESS_KEY").ok_or(AwsError::Missing("ATTENDANCE_ACCESS_KEY"))
    }

    /// `FACE_TOLERANCE`.
    ///
    /// # Errors
    /// [`AwsError::Setting`].
    pub fn tolerance(&self) -> Result<Tolerance, AwsError> {
        let default = Tolerance::new(0.45).expect("0.45 is a tolerance");
        self.value("FACE_TOLERANCE", default, "a number greater than 0, at most 2", |text| {
            text.parse().ok().filter(|d| *d <= 2.0).and_then(Tolerance::new)
        })
    }

    /// `ENROLL_MULTI_FACE`.
    ///
    /// # Errors
    /// [`AwsError::Setting`].
    pub fn multi_face(&self) -> Result<MultiFace, AwsError> {
        self.value("ENROLL_MULTI_FACE", MultiFace::Reject, "reject, largest or all", |text| match text {
            "reject" => Some(MultiFace::Reject),
            "largest" => Some(MultiFace::Largest),
            "all" => Some(MultiFace::All),
            _ => None,
        })
    }

    /// `EVENT_COOLDOWN_SECONDS`.
    ///
    /// # Errors
    /// [`AwsError::Setting`].
    pub fn cooldown(&self) -> Result<Duration, AwsError> {
        self.seconds("EVENT_COOLDOWN_SECONDS", 5, 0.0, 86400.0)
    }

    /// `ATTENDANCE_WEBHOOK_TIMEOUT_SECONDS`: an HTTP API ends a request after 30 seconds.
    ///
    /// # Errors
    /// [`AwsError::Setting`].
    pub fn webhook_timeout(&self) -> Result<Duration, AwsError> {
        self.seconds("ATTENDANCE_WEBHOOK_TIMEOUT_SECONDS", 3, 0.1, 20.0)
    }

    /// `ATTENDANCE_RETRY_SCHEDULE` and `ATTENDANCE_RETRY_FOR`.
    ///
    /// # Errors
    /// [`AwsError::Setting`].
    pub fn retry_policy(&self) -> Result<RetryPolicy, AwsError> {
        let schedule = "waits separated by commas, each a whole number with s, m, h or d, as in 5s,30s,2m,10m,1h";
        let waits = [5, 30, 120, 600, 3600].map(Duration::from_secs).to_vec();
        let waits =
            self.value("ATTENDANCE_RETRY_SCHEDULE", waits, schedule, |text| RetryPolicy::parse_waits(text).ok())?;
        let day = Duration::from_secs(86400);
        let give_up_after =
            self.value("ATTENDANCE_RETRY_FOR", day, "a whole number with s, m, h or d, as in 24h", |text| {
                RetryPolicy::parse_duration(text).ok()
            })?;
        Ok(RetryPolicy::new(waits, give_up_after).expect("a schedule that parses has a wait"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_variables_have_the_contracts_defaults() {
        let environment = Environment::of(&[("FACE_TOLERANCE", " ")]);
        assert_eq!(environment.tolerance().unwrap().distance(), 0.45);
        assert_eq!(environment.cooldown().unwrap(), Duration::from_secs(5));
        assert_eq!(environment.webhook_timeout().unwrap(), Duration::from_secs(3));
        assert_eq!(environment.retry_policy().unwrap(), RetryPolicy::default());
        assert_eq!(environment.multi_face().unwrap(), MultiFace::Reject);
    }

    #[test]
    fn a_wrong_value_names_the_variable_the_value_and_what_is_allowed() {
        let message = Environment::of(&[("FACE_TOLERANCE", "0,45")]).tolerance().unwrap_err().to_string();
        assert_eq!(message, "FACE_TOLERANCE is `0,45`; allowed is a number greater than 0, at most 2");
        assert!(Environment::of(&[("ATTENDANCE_RETRY_SCHEDULE", "5s,,1m")]).retry_policy().is_err());
        assert!(Environment::of(&[("ATTENDANCE_WEBHOOK_TIMEOUT_SECONDS", "29")]).webhook_timeout().is_err());
    }

    #[test]
    fn the_stack_must_be_named_and_a_key_set() {
        assert_eq!(Environment::of(&[]).aws().unwrap_err().to_string(), "ATTENDANCE_TABLE is not set");
        assert!(Environment::of(&[]).access_keys().is_err());
    }

    #[test]
    fn a_secret_fills_what_the_process_has_not() {
        let environment = Environment::of(&[("ATTENDANCE_API_KEY", "own"), ("ATTENDANCE_ACCESS_KEY", "")]);
        let environment = environment
            .with_secret(r#"{"ATTENDANCE_API_KEY": "secret", "ATTENDANCE_ACCESS_KEY": "key"}"#)
            .expect("an object of texts");
        assert_eq!(environment.text("ATTENDANCE_API_KEY"), Some("own"));
        assert_eq!(environment.access_keys().unwrap(), "key");
        assert!(Environment::of(&[]).with_secret("[]").is_err());
    }
}
