use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use attendance_convert::{pull, pull_samples};
use attendance_models::{ModelName, ModelsDir};

/// The checkout's models folder, with every default model in it: what is missing is fetched.
///
/// # Panics
/// Where a model cannot be had, with the sentence that says why.
#[must_use]
pub fn models() -> ModelsDir {
    static READY: OnceLock<()> = OnceLock::new();
    let models = ModelsDir::of_checkout();
    READY.get_or_init(|| {
        if !models.missing(&ModelName::ALL).is_empty() {
            let pulled = pull(&models, &ModelName::ALL, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
            assert!(pulled.unavailable.is_empty(), "{:?}", pulled.unavailable);
        }
    });
    models
}

/// The path of a test picture of the peer package, such as `obama.jpg`; all of them are fetched into `target/` once.
///
/// # Panics
/// Where they cannot be had, with the sentence that says why.
#[must_use]
pub fn sample(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-pictures");
        fs::create_dir_all(&folder).expect("target/ can be written");
        // Test programs run side by side; one of them fetches.
        let lock = File::create(folder.join("lock")).expect("target/ can be written");
        lock.lock().expect("a file can be locked");
        pull_samples(&folder.join("known"), &folder, None, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
        folder
    });
    let stem = name.split('.').next().unwrap_or_default();
    let known = folder.join("known").join(stem).join(name);
    let path = if known.is_file() { known } else { folder.join(name) };
    assert!(path.is_file(), "{name} is no test picture");
    path
}
