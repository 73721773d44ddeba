use std::collections::HashMap;
use std::time::Duration;

use crate::{MultiFace, RetryPolicy, Tolerance};

/// The variables that a program was started with. `functions/local` and `shared/aws` read them: from the process, and from
/// a file or a secret.
///
/// [`AttendanceSettings::from_environment`](crate::AttendanceSettings::from_environment) makes the settings of the use cases
/// of it, and each adapter makes its own (`VisionSettings::from_environment`, for instance).
#[derive(Clone, Default)]
pub struct Environment(HashMap<String, String>);

/// A variable that a program cannot start with. The message names it and says what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// Its value cannot be used.
    #[error("{name} is `{value}`; expected {expected}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// The values that can be used, in words.
        expected: String,
    },
    /// It is not set and has no default.
    #[error("{0} is not set")]
    Missing(&'static str),
}

impl Environment {
    /// Returns these variables and those of `others` that are not set here. A variable that is set to nothing stays so.
    #[must_use]
    pub fn or(mut self, others: impl IntoIterator<Item = (String, String)>) -> Self {
        for (name, value) in others {
            self.0.entry(name).or_insert(value);
        }
        self
    }

    /// Returns the variable's text without the white space around it, or `None` if it is absent or empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|v| v.trim()).filter(|v| !v.is_empty())
    }

    /// Returns the words of a variable that holds a list separated by spaces.
    pub fn words(&self, name: &str) -> impl Iterator<Item = &str> {
        self.text(name).unwrap_or_default().split_whitespace()
    }

    /// Returns the variable's text.
    ///
    /// # Errors
    /// [`SettingError::Missing`] if it is absent or empty.
    pub fn required(&self, name: &'static str) -> Result<&str, SettingError> {
        self.text(name).ok_or(SettingError::Missing(name))
    }

    /// Returns the variable's value, or `default` if it is absent.
    ///
    /// # Errors
    /// [`SettingError::Invalid`] if `parse` does not accept it; `expected` says in words what it accepts.
    pub fn value<T>(
        &self,
        name: &'static str,
        default: T,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, SettingError> {
        let Some(text) = self.text(name) else { return Ok(default) };
        parse(text).ok_or_else(|| SettingError::Invalid { name, value: text.into(), expected: expected.into() })
    }

    /// Returns whether a switch is on.
    ///
    /// # Errors
    /// [`SettingError::Invalid`].
    pub fn flag(&self, name: &'static str, default: bool) -> Result<bool, SettingError> {
        self.value(name, default, "true or false", |text| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        })
    }

    /// Returns `FACE_TOLERANCE`.
    ///
    /// # Errors
    /// [`SettingError::Invalid`].
    pub fn tolerance(&self) -> Result<Tolerance, SettingError> {
        let default = Tolerance::new(0.45).expect("0.45 is a tolerance");
        self.value("FACE_TOLERANCE", default, "a number greater than 0, at most 2", |text| {
            text.parse().ok().filter(|d| *d <= 2.0).and_then(Tolerance::new)
        })
    }

    /// Returns `ENROLL_MULTI_FACE`.
    ///
    /// # Errors
    /// [`SettingError::Invalid`].
    pub fn multi_face(&self) -> Result<MultiFace, SettingError> {
        self.value("ENROLL_MULTI_FACE", MultiFace::Reject, "reject, largest or all", |text| match text {
            "reject" => Some(MultiFace::Reject),
            "largest" => Some(MultiFace::Largest),
            "all" => Some(MultiFace::All),
            _ => None,
        })
    }

    /// Returns `EVENT_COOLDOWN_SECONDS`.
    ///
    /// # Errors
    /// [`SettingError::Invalid`].
    pub fn cooldown(&self) -> Result<Duration, SettingError> {
        let expected = "a whole number of seconds from 0 to 86400";
        self.value("EVENT_COOLDOWN_SECONDS", Duration::from_secs(5), expected, |text| {
            text.parse().ok().filter(|seconds| *seconds <= 86400).map(Duration::from_secs)
        })
    }

    /// Returns `ATTENDANCE_WEBHOOK_TIMEOUT_SECONDS`. A camera waits for the try, and API Gateway waits 30 seconds in all.
    ///
    /// # Errors
    /// [`SettingError::Invalid`].
    pub fn webhook_timeout(&self) -> Result<Duration, SettingError> {
        let expected = "a number of seconds from 0.1 to 20";
        self.value("ATTENDANCE_WEBHOOK_TIMEOUT_SECONDS", Duration::from_secs(3), expected, |text| {
            text.parse().ok().filter(|seconds| (0.1..=20.0).contains(seconds)).map(Duration::from_secs_f64)
        })
    }

    /// Returns the policy in `ATTENDANCE_RETRY_SCHEDULE` and `ATTENDANCE_RETRY_FOR`.
    ///
    /// # Errors
    /// [`SettingError::Invalid`].
    pub fn retry_policy(&self) -> Result<RetryPolicy, SettingError> {
        let default = RetryPolicy::default();
        let waits = "waits separated by commas, each a whole number with s, m, h or d, as in 5s,30s,2m,10m,1h";
        let waits = self.value("ATTENDANCE_RETRY_SCHEDULE", default.waits().to_vec(), waits, |text| {
            RetryPolicy::parse_waits(text).ok()
        })?;
        let duration = "a whole number with s, m, h or d, as in 24h";
        let give_up_after = self.value("ATTENDANCE_RETRY_FOR", default.give_up_after(), duration, |text| {
            RetryPolicy::parse_duration(text).ok()
        })?;
        Ok(RetryPolicy::new(waits, give_up_after).expect("a schedule that parses has a wait"))
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_empty_variables_have_the_contracts_defaults() {
        for environment in [Environment::default(), Environment::from([("FACE_TOLERANCE", " ")])] {
            assert_eq!(environment.tolerance().unwrap().distance(), 0.45);
            assert_eq!(environment.cooldown().unwrap(), Duration::from_secs(5));
            assert_eq!(environment.webhook_timeout().unwrap(), Duration::from_secs(3));
            assert_eq!(environment.retry_policy().unwrap(), RetryPolicy::default());
            assert_eq!(environment.multi_face().unwrap(), MultiFace::Reject);
            assert!(!environment.flag("ATTENDANCE_MOCK_WEBHOOK", false).unwrap());
        }
    }

    #[test]
    fn a_wrong_value_names_the_variable_the_value_and_what_is_expected() {
        let of = |name, value| Environment::from([(name, value)]);
        let message = of("FACE_TOLERANCE", "0,45").tolerance().unwrap_err().to_string();
        assert_eq!(message, "FACE_TOLERANCE is `0,45`; expected a number greater than 0, at most 2");
        for value in ["-1", "NaN", "inf", "0", "3"] {
            assert!(of("FACE_TOLERANCE", value).tolerance().is_err(), "{value}");
        }
        for value in ["-1", "x", "90000", "0.5"] {
            assert!(of("EVENT_COOLDOWN_SECONDS", value).cooldown().is_err(), "{value}");
        }
        for value in ["0", "29", "NaN"] {
            assert!(of("ATTENDANCE_WEBHOOK_TIMEOUT_SECONDS", value).webhook_timeout().is_err(), "{value}");
        }
        assert!(of("ATTENDANCE_RETRY_SCHEDULE", "5s,,1m").retry_policy().is_err());
        assert!(of("ATTENDANCE_RETRY_FOR", "soon").retry_policy().is_err());
        assert!(of("ENROLL_MULTI_FACE", "some").multi_face().is_err());
        assert!(of("ATTENDANCE_MOCK_WEBHOOK", "perhaps").flag("ATTENDANCE_MOCK_WEBHOOK", false).is_err());
        assert_eq!(of("A", "").required("A").unwrap_err().to_string(), "A is not set");
    }

    #[test]
    fn what_is_set_wins_over_what_is_added() {
        let owned = |pair: (&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
        let environment =
            Environment::from([("A", "1"), ("B", " ")]).or([("A", "2"), ("B", "3"), ("C", "4 5")].map(owned));
        assert_eq!(["A", "B", "C"].map(|name| environment.text(name)), [Some("1"), None, Some("4 5")]);
        assert_eq!(environment.words("C").collect::<Vec<_>>(), ["4", "5"]);
    }
}
