use std::time::Duration;

use crate::{Environment, MultiFace, RetryPolicy, SettingError, Tolerance};

/// The settings of the use cases.
#[derive(Debug, Clone, PartialEq)]
pub struct AttendanceSettings {
    /// `FACE_TOLERANCE`: the largest distance that is a match.
    pub tolerance: Tolerance,
    /// `ENROLL_MULTI_FACE`: what happens to an enrolment photograph that shows several people.
    pub multi_face: MultiFace,
    /// `EVENT_COOLDOWN_SECONDS`: how long after an event a student causes no other.
    pub cooldown: Duration,
    /// `ATTENDANCE_WEBHOOK_TIMEOUT_SECONDS`: how long one try to deliver an event may take.
    pub webhook_timeout: Duration,
    /// `ATTENDANCE_RETRY_SCHEDULE` and `ATTENDANCE_RETRY_FOR`: when an event is tried again, and when it is given up.
    pub retry_policy: RetryPolicy,
}

impl AttendanceSettings {
    /// Returns the settings in `FACE_TOLERANCE`, `ENROLL_MULTI_FACE`, `EVENT_COOLDOWN_SECONDS`,
    /// `ATTENDANCE_WEBHOOK_TIMEOUT_SECONDS`, `ATTENDANCE_RETRY_SCHEDULE` and `ATTENDANCE_RETRY_FOR`. An absent variable has
    /// its default.
    ///
    /// # Errors
    /// [`SettingError::Invalid`] for the first variable whose value cannot be used.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingError> {
        Ok(Self {
            tolerance: environment.tolerance()?,
            multi_face: environment.multi_face()?,
            cooldown: environment.cooldown()?,
            webhook_timeout: environment.webhook_timeout()?,
            retry_policy: environment.retry_policy()?,
        })
    }
}

impl Default for AttendanceSettings {
    /// The contract's defaults: those of an empty environment.
    fn default() -> Self {
        Self::from_environment(&Environment::default()).expect("the defaults are valid")
    }
}
