use attendance::Environment;

use crate::{Access, InvalidKey, InvalidOrigins, Origins};

/// Who may call the service.
#[derive(Debug, Clone)]
pub struct AccessSettings {
    /// `ATTENDANCE_ACCESS_KEY`: the keys that open it. Without one it is open.
    pub keys: Access,
    /// `ATTENDANCE_CORS_ORIGINS`: whose pages may call it from a browser.
    pub origins: Origins,
}

/// A variable has a value that is not allowed. The message names the variable and says what is expected; it holds no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum InvalidAccess {
    #[error(transparent)]
    Key(#[from] InvalidKey),
    #[error("ATTENDANCE_CORS_ORIGINS is `{value}`: {cause}")]
    Origins { value: String, cause: InvalidOrigins },
}

impl AccessSettings {
    /// Returns the settings in `ATTENDANCE_ACCESS_KEY` and `ATTENDANCE_CORS_ORIGINS`. Without them everybody may call, from
    /// any page.
    ///
    /// # Errors
    /// [`InvalidAccess`].
    pub fn from_environment(environment: &Environment) -> Result<Self, InvalidAccess> {
        let keys = Access::parse(environment.text("ATTENDANCE_ACCESS_KEY").unwrap_or_default())?;
        let value = environment.text("ATTENDANCE_CORS_ORIGINS").unwrap_or("*");
        let origins = Origins::parse(value);
        let origins = origins.map_err(|cause| InvalidAccess::Origins { value: value.to_owned(), cause })?;
        Ok(Self { keys, origins })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_variables_let_everybody_in_and_wrong_ones_are_named() {
        let settings = AccessSettings::from_environment(&Environment::default()).unwrap();
        assert!(settings.keys.is_open());
        assert_eq!(settings.origins, Origins::Any);
        let message = |name, value| {
            AccessSettings::from_environment(&Environment::from([(name, value)])).unwrap_err().to_string()
        };
        let key = message("ATTENDANCE_ACCESS_KEY", "schlüssel");
        assert!(key.starts_with("ATTENDANCE_ACCESS_KEY: ") && !key.contains("schlüssel"), "{key}");
        let origins = message("ATTENDANCE_CORS_ORIGINS", "school.test");
        assert!(origins.starts_with("ATTENDANCE_CORS_ORIGINS is `school.test`: origins are "), "{origins}");
    }
}
