//! The variables of the contract, each read once, at start, into typed settings.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use attendance::{MultiFace, RetryPolicy, Tolerance};
use attendance_vision::VisionSettings;

/// The process's variables, and those of a `.env` file in the working directory where the process has none.
pub(crate) struct Environment(HashMap<String, String>);

impl Environment {
    /// Reads both.
    pub(crate) fn load() -> Result<Self> {
        let mut variables = HashMap::new();
        if Path::new(".env").is_file() {
            for line in dotenvy::from_path_iter(".env").context("the file .env cannot be read")? {
                let (name, value) = line.context("the file .env has a line that is not NAME=value")?;
                variables.insert(name, value);
            }
        }
        for (name, value) in std::env::vars_os() {
            if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
                variables.insert(name, value);
            }
        }
        Ok(Self(variables))
    }

    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        Self(variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    /// The variable's text; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|v| v.trim()).filter(|v| !v.is_empty())
    }

    /// The words of a variable that holds a list separated by spaces.
    pub(crate) fn words(&self, name: &str) -> Vec<String> {
        self.text(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }

    /// The variable's value, or `default`. A value that `parse` does not take stops the start with a message that says
    /// what is `allowed`.
    fn value<T>(&self, name: &str, default: T, allowed: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => match parse(text) {
                Some(value) => Ok(value),
                None => bail!("{name} is `{text}`; allowed is {allowed}"),
            },
        }
    }

    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool> {
        self.value(name, default, "true or false", |text| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        })
    }

    fn seconds(&self, name: &str, default: u64, least: f64) -> Result<Duration> {
        let allowed = format!("a number of seconds from {least} to 86400");
        self.value(name, Duration::from_secs(default), &allowed, |text| {
            let seconds: f64 = text.parse().ok()?;
            (least..=86400.0).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
        })
    }

    /// How faces are found.
    pub(crate) fn vision(&self) -> Result<VisionSettings> {
        Ok(VisionSettings::from_variables(|name| self.text(name))?)
    }

    /// `FACE_TOLERANCE`.
    pub(crate) fn tolerance(&self) -> Result<Tolerance> {
        let default = Tolerance::new(0.45).expect("0.45 is a tolerance");
        self.value("FACE_TOLERANCE", default, "a number greater than 0, at most 2", |text| {
            text.parse().ok().filter(|d| *d <= 2.0).and_then(Tolerance::new)
        })
    }

    /// `ENROLL_MULTI_FACE`.
    pub(crate) fn multi_face(&self) -> Result<MultiFace> {
        self.value("ENROLL_MULTI_FACE", MultiFace::Reject, "reject, largest or all", |text| match text {
            "reject" => Some(MultiFace::Reject),
            "largest" => Some(MultiFace::Largest),
            "all" => Some(MultiFace::All),
            _ => None,
        })
    }

    /// `EVENT_COOLDOWN_SECONDS`.
    pub(crate) fn cooldown(&self) -> Result<Duration> {
        self.seconds("EVENT_COOLDOWN_SECONDS", 5, 0.0)
    }

    /// `ATTENDANCE_WEBHOOK_TIMEOUT_SECONDS`.
    pub(crate) fn webhook_timeout(&self) -> Result<Duration> {
        self.seconds("ATTENDANCE_WEBHOOK_TIMEOUT_SECONDS", 3, 0.1)
    }

    /// `ATTENDANCE_RETRY_SCHEDULE` and `ATTENDANCE_RETRY_FOR`.
    pub(crate) fn retry_policy(&self) -> Result<RetryPolicy> {
        let schedule = "waits separated by commas, each a whole number with s, m, h or d, as in 5s,30s,2m,10m,1h";
        let waits = self.value(
            "ATTENDANCE_RETRY_SCHEDULE",
            [5, 30, 120, 600, 3600].map(Duration::from_secs).to_vec(),
            schedule,
            |text| RetryPolicy::parse_waits(text).ok(),
        )?;
        let give_up_after = self.value(
            "ATTENDANCE_RETRY_FOR",
            Duration::from_secs(86400),
            "a whole number with s, m, h or d, as in 24h",
            |text| RetryPolicy::parse_duration(text).ok(),
        )?;
        Ok(RetryPolicy::new(waits, give_up_after)?)
    }

    /// `ATTENDANCE_ADDR`.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        let default = SocketAddr::from(([127, 0, 0, 1], 8000));
        self.value("ATTENDANCE_ADDR", default, "an IP address and a port, as in 127.0.0.1:8000 or [::1]:0", |text| {
            text.parse().ok()
        })
    }

    /// `ATTENDANCE_DATA_DIR`.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.text("ATTENDANCE_DATA_DIR").unwrap_or("data").into()
    }

    /// `ATTENDANCE_MODELS_DIR`; the models folder of the checkout that this program was built from, or, where that is
    /// gone, `models` in the working directory.
    pub(crate) fn models_dir(&self) -> PathBuf {
        let checkout = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models"));
        match self.text("ATTENDANCE_MODELS_DIR") {
            Some(path) => path.into(),
            None => checkout.canonicalize().unwrap_or_else(|_| "models".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T>(result: Result<T>) -> String {
        result.err().expect("refused").to_string()
    }

    #[test]
    fn absent_and_empty_variables_have_the_contracts_defaults() {
        for environment in [Environment::of(&[]), Environment::of(&[("FACE_TOLERANCE", " "), ("ATTENDANCE_ADDR", "")])]
        {
            assert_eq!(environment.tolerance().unwrap().distance(), 0.45);
            assert_eq!(environment.cooldown().unwrap(), Duration::from_secs(5));
            assert_eq!(environment.webhook_timeout().unwrap(), Duration::from_secs(3));
            assert_eq!(environment.retry_policy().unwrap(), RetryPolicy::default());
            assert_eq!(environment.address().unwrap().to_string(), "127.0.0.1:8000");
            assert_eq!(environment.multi_face().unwrap(), MultiFace::Reject);
            assert_eq!(environment.data_dir(), Path::new("data"));
        }
    }

    #[test]
    fn a_wrong_value_names_the_variable_the_value_and_what_is_allowed() {
        let of = |name, value| Environment::of(&[(name, value)]);
        let message = refusal(of("FACE_TOLERANCE", "0,45").tolerance());
        assert_eq!(message, "FACE_TOLERANCE is `0,45`; allowed is a number greater than 0, at most 2");
        for value in ["-1", "NaN", "inf", "0", "3"] {
            refusal(of("FACE_TOLERANCE", value).tolerance());
        }
        for value in ["-1", "x", "90000"] {
            refusal(of("EVENT_COOLDOWN_SECONDS", value).cooldown());
        }
        refusal(of("ATTENDANCE_WEBHOOK_TIMEOUT_SECONDS", "0").webhook_timeout());
        refusal(of("ATTENDANCE_RETRY_SCHEDULE", "5s,,1m").retry_policy());
        refusal(of("ATTENDANCE_RETRY_FOR", "soon").retry_policy());
        let message = refusal(of("FACE_DETECTOR", "best").vision());
        assert_eq!(message, "FACE_DETECTOR is `best`; allowed is auto, hog, cnn or yunet");
        refusal(of("ATTENDANCE_ADDR", "localhost").address());
        refusal(of("ENROLL_MULTI_FACE", "some").multi_face());
    }
}
