//! The serverless service on this machine: a local AWS stack without Docker, and the deployment onto it.

mod package;
mod stack;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Subcommand;

use crate::test::build_programs;
use stack::{LEFT_RUNNING, Stack, free_port};

/// What `aws` does.
#[derive(Subcommand)]
pub(crate) enum Chore {
    /// Start the local stack and leave it running
    Up,
    /// Build the functions, deploy them onto the local stack and print where they are
    Deploy,
    /// Check the template, and run the adapters' and the deployed service's tests on a stack of their own
    Test,
    /// Stop the local stack
    Down,
    /// Build the functions as `sam build` does, and print what each package weighs and how long it takes to start
    Package,
}

/// Where `up` listens. Tests take a free port.
const PORT: u16 = 4566;

/// The functions: the template's name, the package, and whether it carries the models.
const FUNCTIONS: [(&str, &str, bool); 9] = [
    ("Enroll", "enroll", true),
    ("Recognize", "recognize", true),
    ("Realtime", "realtime", true),
    ("BulkEnroll", "bulk-enroll", true),
    ("Meta", "meta", false),
    ("Connect", "connect", false),
    ("Disconnect", "disconnect", false),
    ("Deliver", "deliver", false),
    ("Maintain", "maintain", false),
];

/// What a package with models carries.
const MODELS: [&str; 5] =
    ["manifest.toml", "face_detector.onnx", "face_embedder.onnx", "face_landmarks.bin", "face_hog.bin"];

pub(crate) fn run(chore: &Chore) -> Result<()> {
    match chore {
        Chore::Up => Stack::start(LEFT_RUNNING, PORT)?.leave_running(),
        Chore::Deploy => {
            let deployed = deploy(PORT, &[("AccessKey", "local-access-key"), ("MockWebhook", "true")])?;
            println!("HTTP       {}\nWebSocket  {}?key=local-access-key", deployed.http, deployed.ws);
            let bucket = deployed.outputs["BucketName"].as_str().unwrap_or_default();
            println!("bucket     {bucket}\nkey        local-access-key");
            Ok(())
        }
        Chore::Test => test(),
        Chore::Down => stack::down(),
        Chore::Package => package::package(),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A folder under target/ for what is made here.
fn folder(name: &str) -> Result<PathBuf> {
    let folder = root().join("target/aws").join(name);
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    Ok(folder.canonicalize()?)
}

/// A program of the virtual environment, which is made and filled where it is not as `infra/requirements.txt` has it.
fn tool(name: &str) -> Result<PathBuf> {
    let venv = root().join("target/venv");
    let requirements = root().join("infra/requirements.txt");
    let (stamp, wanted) = (venv.join("requirements.txt"), fs::read_to_string(&requirements)?);
    if fs::read_to_string(&stamp).ok().as_ref() != Some(&wanted) {
        println!("installing the local stack's tools into target/venv, once");
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        let mut pip = Command::new(venv.join("bin/pip"));
        succeed(pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements))?;
        fs::write(&stamp, wanted)?;
    }
    // Not the program itself made canonical: the environment's Python is a link to one without the environment.
    Ok(venv.canonicalize()?.join("bin").join(name))
}

/// The command, finding the virtual environment's programs before others: cargo its `lambda`, and that its compiler.
fn with_tools(mut command: Command) -> Result<Command> {
    let bin = tool("python")?.with_file_name("");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path)))?;
    command.env("PATH", path);
    Ok(command)
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{:?} cannot be started", command.get_program()))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

/// The command, as somebody who may do everything on the local stack and nothing anywhere else.
fn local(mut command: Command, port: u16) -> Command {
    command
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("SAM_CLI_TELEMETRY", "0")
        .env_remove("AWS_PROFILE")
        .current_dir(root());
    command
}

/// Where a deployed service is.
struct Deployed {
    http: String,
    ws: String,
    /// The stack's outputs, by name.
    outputs: serde_json::Value,
}

/// Deploys plain debug builds onto the stack: they run there as they do on AWS, and are built anyway.
fn deploy(port: u16, parameters: &[(&str, &str)]) -> Result<Deployed> {
    build_programs()?;
    let built = folder("functions")?;
    for (name, package, with_models) in FUNCTIONS {
        let package_folder = built.join(name);
        fs::create_dir_all(&package_folder)?;
        let bootstrap = package_folder.join("bootstrap");
        // A running function keeps its file busy.
        let _ = fs::remove_file(&bootstrap);
        let program = target_folder().join("debug").join(format!("attendance-{package}"));
        let mut strip = Command::new("strip");
        succeed(strip.arg("-o").arg(&bootstrap).arg(&program))?;
        if with_models {
            copy_models(&package_folder.join("models"))?;
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
    // Not the one of the checkout: it is for AWS.
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

pub(crate) fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn copy_models(to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for model in MODELS {
        let from = root().join("models").join(model);
        fs::copy(&from, to.join(model))
            .with_context(|| format!("{} is missing: `cargo run -- models pull` makes it", from.display()))?;
    }
    Ok(())
}

/// The template with the packages that lie here, and with the local stack's addresses for AWS's.
fn local_template(port: u16) -> Result<String> {
    let template = fs::read_to_string(root().join("template.yaml"))?;
    let live = "${WebSocketApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/live";
    let here = format!("127.0.0.1:{port}/_aws/execute-api/${{WebSocketApi}}/live");
    ensure!(template.contains(live), "template.yaml no longer says where the WebSocket API is");
    let template = template
        .replace(&format!("https://{live}"), &format!("http://{here}"))
        .replace(&format!("wss://{live}"), &format!("ws://{here}"));
    // Numbers are texts in its parameters, and it counts with this one.
    let bound = "MaximumConcurrency: !Ref BulkConcurrency";
    ensure!(template.contains(bound), "template.yaml no longer bounds how many pictures are enrolled side by side");
    let template = template.replace(bound, "MaximumConcurrency: 2");
    let mut function = "";
    let mut lines = Vec::new();
    for line in template.lines() {
        if let Some(name) = line.strip_prefix("  ").filter(|l| !l.starts_with(' ')).and_then(|l| l.strip_suffix(':')) {
            function = name;
        }
        match line.trim() {
            "Metadata:" | "BuildMethod: makefile" => {}
            "CodeUri: infra" => lines.push(format!("      CodeUri: {function}")),
            _ => lines.push(line.to_owned()),
        }
    }
    Ok(lines.join("\n"))
}

/// The edges that must not be: these link no face engine.
pub(crate) fn check_edges() -> Result<()> {
    for package in ["connect", "disconnect", "deliver", "maintain", "meta"] {
        let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let tree = Command::new(program)
            .args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--package"])
            .arg(format!("attendance-{package}"))
            .current_dir(root())
            .output()?;
        ensure!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let tree = String::from_utf8(tree.stdout)?;
        ensure!(tree.contains("aws-sdk-dynamodb"), "the tree of {package} is not what it was taken for");
        ensure!(!tree.contains("tract") && !tree.contains("attendance-vision"), "{package} links the face engine");
    }
    Ok(())
}

/// Everything that needs a local stack, on one of its own.
pub(crate) fn test() -> Result<()> {
    let mut validate = local(Command::new(tool("sam")?), PORT);
    succeed(validate.args(["validate", "--lint", "--template-file", "template.yaml"]))?;
    succeed(local(Command::new(tool("cfn-lint")?), PORT).arg("template.yaml"))?;
    // Before the stack, for which compiling is a busy machine.
    build_programs()?;
    succeed(on_stack("", PORT).arg("--no-run"))?;
    let stack = Stack::start("test", free_port()?)?;
    succeed(&mut on_stack("stack", stack.port))?;
    // The receiver of the events listens where the functions were told.
    let receiver = free_port()?;
    let url = format!("http://127.0.0.1:{receiver}/events");
    let deployed = deploy(
        stack.port,
        &[
            ("AccessKey", "first-key-of-two second-key-of-two"),
            ("WebhookUrl", &url),
            ("ApiKey", "token-of-the-attendance-api"),
            ("HmacSecret", "a-plain-secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            ("WebhookAllowPrivate", "true"),
            ("WebhookTimeoutSeconds", "1"),
            ("RetrySchedule", "1s"),
            ("CooldownSeconds", "3"),
            ("MockWebhook", "true"),
        ],
    )?;
    package::check_weights(&folder("functions")?)?;
    let mut service = on_stack("aws", stack.port);
    service
        .env("ATTENDANCE_TEST_RECEIVER", format!("127.0.0.1:{receiver}"))
        .env("ATTENDANCE_TEST_HTTP", &deployed.http)
        .env("ATTENDANCE_TEST_WS", &deployed.ws)
        .env("ATTENDANCE_TEST_FUNCTIONS", folder("functions")?)
        .env("ATTENDANCE_TEST_CARGO_LAMBDA", tool("cargo-lambda")?)
        .env("ATTENDANCE_TEST_OUTPUTS", deployed.outputs.to_string());
    succeed(&mut service)?;
    drop(stack);
    package::check_small_function()
}

/// `cargo test` of the test program of this name, or of all that need a stack. All of the workspace is selected, as where
/// the programs are built: for one package alone cargo would choose other features of the dependencies and compile them
/// once more.
fn on_stack(name: &str, port: u16) -> Command {
    let mut command = local(Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())), port);
    command.args(["test", "--workspace", "--locked"]);
    command.args(["--features", "attendance-aws/stack,attendance-end-to-end/stack"]);
    for test in ["stack", "aws"].iter().filter(|test| name.is_empty() || **test == name) {
        command.args(["--test", test]);
    }
    command.env("ATTENDANCE_TEST_STACK", format!("http://127.0.0.1:{port}"));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sam_builds_is_what_there_is() {
        let read = |name: &str| fs::read_to_string(root().join(name)).expect("it is in the checkout");
        let (makefile, template) = (read("infra/Makefile"), read("template.yaml"));
        let programs = makefile.lines().find(|line| line.starts_with("PROGRAMS :=")).expect("the programs");
        let programs: Vec<&str> =
            programs.split(',').nth(1).expect("a list").trim_end_matches(')').split(' ').collect();
        for (name, package, with_models) in FUNCTIONS {
            assert!(programs.contains(&package), "{package} is built");
            let recipe = makefile.split(&format!("build-{name}:\n")).nth(1).expect(name);
            let recipe = recipe.split("\n\n").next().unwrap_or_default();
            assert!(recipe.contains(&format!("$(call program,{package})")), "{name}: {recipe}");
            assert_eq!(recipe.contains("$(call models)"), with_models, "{name}");
            assert!(template.contains(&format!("\n  {name}:\n    Type: AWS::Serverless::Function\n")), "{name}");
        }
        assert_eq!(programs.len(), FUNCTIONS.len());
        assert_eq!(template.matches("AWS::Serverless::Function\n").count(), FUNCTIONS.len());
    }
}
