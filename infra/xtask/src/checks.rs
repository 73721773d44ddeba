//! What no compiler checks of the crates.

use anyhow::{Result, ensure};

use crate::functions::functions;
use crate::workspace::cargo_command;

/// What no function links: a model is converted before a function is packed.
const CONVERSION: [&str; 1] = ["attendance-convert"];
/// What a function that carries no models does not link either.
const FACE_ENGINE: [&str; 6] = ["attendance-vision", "attendance-kernels", "tract-onnx", "prost", "tar", "flate2"];

/// Checks that functions link neither what converts models nor, if they carry none, the face engine.
///
/// # Errors
/// The function and what it links too much.
pub(crate) fn edges() -> Result<()> {
    for function in functions()?.values() {
        let program = function.program();
        let mut tree = cargo_command();
        tree.args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--package", &program]);
        let tree = tree.output()?;
        ensure!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let tree = String::from_utf8(tree.stdout)?;
        let linked: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        ensure!(linked.contains(&"aws-sdk-dynamodb"), "the dependencies of {program} cannot be told from {tree}");
        let refused = CONVERSION.iter().chain(FACE_ENGINE.iter().filter(|_| !function.faces));
        for package in refused {
            ensure!(!linked.contains(package), "{program} links {package}");
        }
    }
    Ok(())
}
