use std::path::PathBuf;

use attendance::Environment;
use clap::Args;

use crate::environment;

/// Folders that most commands share.
#[derive(Args, Clone, Default)]
pub(crate) struct Places {
    /// Folder of the database and the pictures [env: ATTENDANCE_DATA_DIR] [default: data]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Folder of the converted models [env: ATTENDANCE_MODELS_DIR] [default: the checkout's models folder]
    #[arg(long, global = true, value_name = "DIR")]
    models_dir: Option<PathBuf>,
}

impl Places {
    /// Returns the folder of the database and the pictures.
    pub(crate) fn data(&self, environment: &Environment) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| environment::data_dir(environment))
    }

    /// Returns the folder of the converted models.
    pub(crate) fn models(&self, environment: &Environment) -> PathBuf {
        self.models_dir.clone().unwrap_or_else(|| environment::models_dir(environment))
    }
}
