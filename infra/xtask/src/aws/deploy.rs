//! The deployment onto the local stack.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::tools::{folder, local, tool};
use crate::functions::functions;
use crate::workspace::{build_programs, root, succeed, target_folder};

/// Where a deployed service is.
pub(super) struct Deployed {
    pub(super) http: String,
    pub(super) ws: String,
    /// The stack's outputs, by name.
    pub(super) outputs: serde_json::Value,
}

/// The service, deployed with these parameters as plain debug builds: they run there as they do on AWS, and exist anyway.
pub(super) fn deploy(port: u16, parameters: &[(&str, &str)]) -> Result<Deployed> {
    build_programs()?;
    let built = folder("functions")?;
    // Nothing stays of an earlier deployment, not even the busy file of a running function.
    fs::remove_dir_all(&built)?;
    for (name, function) in functions()? {
        let package = built.join(name);
        fs::create_dir_all(&package)?;
        let bootstrap = package.join("bootstrap");
        let program = target_folder().join("debug").join(function.program());
        succeed(Command::new("strip").arg("-o").arg(&bootstrap).arg(&program))?;
        if function.faces {
            copy_models(&package.join("models"))?;
        }
    }
    let template = built.join("template.yaml");
    fs::write(&template, local_template(port)?)?;
    let python = |script: &str| -> Result<String> {
        let output = local(Command::new(tool("python")?), port).args(["-c", script]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    python("import boto3; boto3.client('s3').create_bucket(Bucket='artifacts')")?;
    // Not the checkout's: that one is for AWS.
    let config = built.join("samconfig.toml");
    fs::write(&config, "version = 0.1\n")?;
    let mut sam = local(Command::new(tool("sam")?), port);
    sam.args(["deploy", "--stack-name", "attendance", "--s3-bucket", "artifacts", "--config-file"])
        .arg(&config)
        .args([
            "--capabilities",
            "CAPABILITY_IAM",
            "--no-confirm-changeset",
            "--no-fail-on-empty-changeset",
            "--no-progressbar",
        ])
        .arg("--template-file")
        .arg(&template)
        .arg("--parameter-overrides")
        .args(parameters.iter().map(|(name, value)| format!("{name}={value:?}")));
    sam.stdout(Stdio::null());
    succeed(&mut sam)?;
    let outputs = python(
        "import boto3, json; o = boto3.client('cloudformation').describe_stacks(StackName='attendance')['Stacks'][0]['Outputs']; print(json.dumps({x['OutputKey']: x['OutputValue'] for x in o}))",
    )?;
    let outputs: serde_json::Value = serde_json::from_str(&outputs)?;
    let output = |name: &str| outputs[name].as_str().with_context(|| format!("the stack has no output {name}"));
    Ok(Deployed {
        http: format!("http://127.0.0.1:{port}/_aws/execute-api/{}/$default", output("HttpApiId")?),
        ws: format!("ws://127.0.0.1:{port}/_aws/execute-api/{}/live", output("WebSocketApiId")?),
        outputs,
    })
}

/// What `models/manifest.toml` says of the files.
#[derive(Deserialize)]
struct Manifest {
    model: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    file: String,
    need: String,
}

/// Copies the manifest and the models that it names. Those that a service can do without are copied if they are there.
pub(super) fn copy_models(to: &Path) -> Result<()> {
    let models = root().join("models");
    let text = fs::read_to_string(models.join("manifest.toml"))?;
    let manifest: Manifest = toml::from_str(&text).context("models/manifest.toml cannot be read")?;
    fs::create_dir_all(to)?;
    fs::write(to.join("manifest.toml"), &text)?;
    for Model { file, need } in manifest.model {
        let from = models.join(&file);
        if need == "always" || from.exists() {
            fs::copy(&from, to.join(file))
                .with_context(|| format!("{} is missing: `cargo run -- models pull` fetches it", from.display()))?;
        }
    }
    Ok(())
}

/// The template with the packages that lie here, and with the local stack's addresses for AWS's.
fn local_template(port: u16) -> Result<String> {
    let live = "${WebSocketApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/live";
    let here = format!("127.0.0.1:{port}/_aws/execute-api/${{WebSocketApi}}/live");
    let alarms = root().join("infra/alarms.yaml").canonicalize()?;
    let mut changes = vec![
        (format!("https://{live}"), format!("http://{here}")),
        (format!("wss://{live}"), format!("ws://{here}")),
        // The local stack takes the parameters' numbers for texts, and computes with this one.
        ("MaximumConcurrency: !Ref BulkConcurrency".into(), "MaximumConcurrency: 2".into()),
        ("TemplateURL: infra/alarms.yaml".into(), format!("TemplateURL: {}", alarms.display())),
        ("\n    CodeUri: infra\n".into(), "\n".into()),
    ];
    for name in functions()?.keys() {
        let head = format!("\n  {name}:\n    Type: AWS::Serverless::Function\n");
        changes.push((
            format!("{head}    Metadata: {{ BuildMethod: makefile }}\n    Properties:\n"),
            format!("{head}    Properties:\n      CodeUri: {name}\n"),
        ));
    }
    let mut template = fs::read_to_string(root().join("template.yaml"))?;
    for (from, to) in changes {
        ensure!(template.contains(&from), "template.yaml no longer contains {from:?}");
        template = template.replace(&from, &to);
    }
    Ok(template)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_can_be_made_local() {
        let template = local_template(4567).expect("a template");
        assert!(!template.contains("makefile") && !template.contains("CodeUri: infra"));
        assert!(template.contains("\"ws://127.0.0.1:4567/_aws/execute-api/${WebSocketApi}/live\""));
    }
}
