//! The Lambda functions, as `infra/functions.toml` lists them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

/// A Lambda function.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Function {
    /// The folder under `functions/`; its program is `attendance-<package>`.
    pub(crate) package: String,
    /// Whether it runs the face models and carries them.
    pub(crate) faces: bool,
}

impl Function {
    /// The name of its program, which is also that of its cargo package.
    pub(crate) fn program(&self) -> String {
        format!("attendance-{}", self.package)
    }
}

/// Every function, by its name in `template.yaml`.
///
/// # Errors
/// Where the list cannot be read.
pub(crate) fn functions() -> Result<BTreeMap<String, Function>> {
    toml::from_str(include_str!("../../functions.toml")).context("infra/functions.toml cannot be read")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::workspace::root;

    #[test]
    fn the_list_is_what_the_template_and_the_workspace_have() {
        let template = fs::read_to_string(root().join("template.yaml")).expect("it is in the checkout");
        let kind = "\n    Type: AWS::Serverless::Function\n";
        let functions = functions().expect("a list");
        for (name, function) in &functions {
            let declared = format!("\n  {name}:{kind}    Metadata: {{ BuildMethod: makefile }}\n    Properties:\n");
            let properties =
                template.split(&declared).nth(1).unwrap_or_else(|| panic!("{name} is not in the template"));
            let properties = properties.split("\n\n").next().unwrap_or_default();
            assert_eq!(properties.contains("MemorySize: !Ref FaceMemory"), function.faces, "{name}");
            for part in ["Log:\n    Type: AWS::Logs::LogGroup", "Alarms:\n    Type: AWS::CloudFormation::Stack"] {
                assert!(template.contains(&format!("\n  {name}{part}\n")), "{name}{part}");
            }
            let manifest = root().join("functions").join(&function.package).join("Cargo.toml");
            let manifest = fs::read_to_string(manifest).expect("a package");
            assert!(manifest.contains(&format!("\nname = \"{}\"\n", function.program())), "{name}");
        }
        assert_eq!(template.matches(kind).count(), functions.len());
        let makefile = fs::read_to_string(root().join("infra/Makefile")).expect("it is in the checkout");
        assert!(makefile.contains("\nbuild-%:\n\tcargo xtask aws build $* "), "SAM builds by the list");
    }
}
