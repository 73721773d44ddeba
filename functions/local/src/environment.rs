//! The variables of this process, and the settings that only the command has.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use attendance::{Environment, SettingError};

/// The prefixes of our variables.
const OURS: [&str; 4] = ["ATTENDANCE_", "ENROLL_", "EVENT_", "FACE_"];

/// Returns the process's variables, and those of the file `.env` in the working directory that the process does not have.
pub(crate) fn load() -> Result<Environment> {
    let mut own = Vec::new();
    for (name, text) in std::env::vars_os() {
        // The variables of others may hold anything.
        let Ok(name) = name.into_string() else { continue };
        match text.into_string() {
            Ok(text) => own.push((name, text)),
            Err(_) if OURS.iter().any(|ours| name.starts_with(ours)) => bail!("{name} is not text in UTF-8"),
            Err(_) => {}
        }
    }
    let mut environment: Environment = own.into_iter().collect();
    if Path::new(".env").is_file() {
        let lines = dotenvy::from_path_iter(".env").context("the file .env cannot be read")?;
        let file = lines.collect::<Result<Vec<_>, _>>().context("the file .env has a line that is not NAME=value")?;
        // As in a shell, the last line of a name counts.
        environment = environment.or(file.into_iter().rev());
    }
    Ok(environment)
}

/// Returns `ATTENDANCE_ADDR`.
pub(crate) fn address(environment: &Environment) -> Result<SocketAddr, SettingError> {
    let default = SocketAddr::from(([127, 0, 0, 1], 8000));
    let expected = "an IP address and a port, as in 127.0.0.1:8000 or [::1]:0";
    environment.value("ATTENDANCE_ADDR", default, expected, |text| text.parse().ok())
}

/// Returns `ATTENDANCE_DATA_DIR`.
pub(crate) fn data_dir(environment: &Environment) -> PathBuf {
    environment.text("ATTENDANCE_DATA_DIR").unwrap_or("data").into()
}

/// Returns `ATTENDANCE_MODELS_DIR`, or else the models folder of the checkout that this program was built from, or, if that
/// is gone, `models` in the working directory.
pub(crate) fn models_dir(environment: &Environment) -> PathBuf {
    let checkout = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models"));
    match environment.text("ATTENDANCE_MODELS_DIR") {
        Some(path) => path.into(),
        None => checkout.canonicalize().unwrap_or_else(|_| "models".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_empty_variables_have_the_contracts_defaults() {
        for environment in [Environment::default(), Environment::from([("ATTENDANCE_ADDR", "")])] {
            assert_eq!(address(&environment).unwrap().to_string(), "127.0.0.1:8000");
            assert_eq!(data_dir(&environment), Path::new("data"));
        }
        assert!(address(&Environment::from([("ATTENDANCE_ADDR", "localhost")])).is_err());
    }
}
