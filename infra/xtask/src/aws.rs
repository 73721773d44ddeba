//! The serverless service on this machine: a local AWS stack without Docker, and the deployment onto it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;

use crate::test::build_programs;

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
    /// Build the functions as `sam build` does, and print what each package weighs
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

/// The most that a function's package may weigh unzipped, in MiB: AWS takes 250.
const PACKAGE_BUDGET: u64 = 90;

/// What a package with models carries.
const MODELS: [&str; 5] =
    ["manifest.toml", "face_detector.onnx", "face_embedder.onnx", "face_landmarks.bin", "face_hog.bin"];

pub(crate) fn run(chore: &Chore) -> Result<()> {
    match chore {
        Chore::Up => Stack::start(PORT)?.leave_running(),
        Chore::Deploy => {
            let deployed = deploy(PORT, &[("AccessKey", "local-access-key"), ("MockWebhook", "true")])?;
            println!("HTTP       {}\nWebSocket  {}?key=local-access-key", deployed.http, deployed.ws);
            println!("bucket     {}\nkey        local-access-key", deployed.bucket);
            Ok(())
        }
        Chore::Test => test(),
        Chore::Down => down(),
        Chore::Package => package(),
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
    Ok(venv.join("bin").join(name).canonicalize()?)
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

/// The local stack, running; stopped on drop.
struct Stack {
    port: u16,
    process: Option<std::process::Child>,
}

impl Stack {
    fn start(port: u16) -> Result<Self> {
        ensure!(!answers(port), "something listens on 127.0.0.1:{port} already: `cargo xtask aws down` stops a stack");
        let log = folder("log")?.join("stack.log");
        let mut command = local(Command::new(tool("ministack")?), port);
        command
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?);
        let mut process = command.spawn().context("the local stack cannot be started")?;
        let end = Instant::now() + Duration::from_secs(60);
        while !answers(port) {
            if let Some(status) = process.try_wait()? {
                bail!("the local stack ended with {status}; see {}", log.display());
            }
            ensure!(Instant::now() < end, "the local stack does not answer; see {}", log.display());
            std::thread::sleep(Duration::from_millis(200));
        }
        println!("the local stack listens on http://127.0.0.1:{port}, log in {}", log.display());
        Ok(Self { port, process: Some(process) })
    }

    fn leave_running(mut self) -> Result<()> {
        if let Some(process) = self.process.take() {
            fs::write(folder("log")?.join("stack.pid"), process.id().to_string())?;
        }
        println!("AWS_ENDPOINT_URL=http://127.0.0.1:{} reaches it; `cargo xtask aws down` stops it", self.port);
        Ok(())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // A polite signal first: it stops the functions that it started.
            let _ = Command::new("kill").arg(process.id().to_string()).status();
            std::thread::sleep(Duration::from_secs(1));
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Whether a stack answers there.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let asked = stream.set_read_timeout(Some(Duration::from_secs(2))).and_then(|()| {
        stream.write_all(b"GET /_ministack/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    });
    asked.is_ok_and(|answer| answer.ends_with(b"200"))
}

fn down() -> Result<()> {
    let file = folder("log")?.join("stack.pid");
    let pid = fs::read_to_string(&file).context("no stack was started by `cargo xtask aws up`")?;
    succeed(Command::new("kill").arg(pid.trim()))?;
    fs::remove_file(file)?;
    Ok(())
}

/// Where a deployed service is.
struct Deployed {
    http: String,
    ws: String,
    bucket: String,
    table: String,
    delivery_queue: String,
    delivery_dead_letters: String,
    maintain: String,
    bulk_enroll: String,
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
        .args(["--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-fail-on-empty-changeset"])
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
    let output = |name: &str| -> Result<String> {
        outputs[name].as_str().map(str::to_owned).with_context(|| format!("the stack has no output {name}"))
    };
    Ok(Deployed {
        http: format!("http://127.0.0.1:{port}/_aws/execute-api/{}/$default", output("HttpApiId")?),
        ws: format!("ws://127.0.0.1:{port}/_aws/execute-api/{}/live", output("WebSocketApiId")?),
        bucket: output("BucketName")?,
        table: output("TableName")?,
        delivery_queue: output("DeliveryQueue")?,
        delivery_dead_letters: output("DeliveryDeadLetterQueue")?,
        maintain: output("MaintainFunction")?,
        bulk_enroll: output("BulkEnrollFunction")?,
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
fn check_edges() -> Result<()> {
    for package in ["attendance-connect", "attendance-disconnect", "attendance-deliver", "attendance-meta"] {
        let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let tree = Command::new(program)
            .args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--package", package])
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
    check_edges()?;
    let mut validate = local(Command::new(tool("sam")?), PORT);
    succeed(validate.args(["validate", "--lint", "--template-file", "template.yaml"]))?;
    succeed(local(Command::new(tool("cfn-lint")?), PORT).arg("template.yaml"))?;
    let stack = Stack::start(free_port()?)?;
    let endpoint = format!("http://127.0.0.1:{}", stack.port);
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    // With the whole workspace's features of the dependencies: for one package alone cargo would compile them once more.
    let tests = |package: &str, name: &str| {
        let mut command = local(Command::new(&cargo), stack.port);
        let feature = format!("attendance-{package}/stack");
        command.args(["test", "--workspace", "--locked", "--features", &feature, "--test", name]);
        command.env("ATTENDANCE_TEST_STACK", &endpoint);
        command
    };
    succeed(&mut tests("aws", "stack"))?;
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
    let mut service = tests("end-to-end", "aws");
    service
        .env("ATTENDANCE_TEST_RECEIVER", format!("127.0.0.1:{receiver}"))
        .env("ATTENDANCE_TEST_HTTP", &deployed.http)
        .env("ATTENDANCE_TEST_WS", &deployed.ws)
        .env("ATTENDANCE_TEST_BUCKET", &deployed.bucket)
        .env("ATTENDANCE_TEST_TABLE", &deployed.table)
        .env("ATTENDANCE_TEST_DELIVERY_QUEUE", &deployed.delivery_queue)
        .env("ATTENDANCE_TEST_DELIVERY_DEAD_LETTERS", &deployed.delivery_dead_letters)
        .env("ATTENDANCE_TEST_MAINTAIN", &deployed.maintain)
        .env("ATTENDANCE_TEST_BULK_ENROLL", &deployed.bulk_enroll);
    succeed(&mut service)
}

fn free_port() -> Result<u16> {
    // Below the range that outgoing connections are given: one of them would take the port before it is listened on.
    let first = 20_000 + (std::process::id() % 10_000) as u16;
    (first..32_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).context("no port is free")
}

/// Release packages, as `sam build` makes them, with their weight.
fn package() -> Result<()> {
    let bin = tool("sam")?;
    let path = bin.parent().context("a program lies in a folder")?.display().to_string();
    let path = format!("{path}:{}", std::env::var("PATH").unwrap_or_default());
    let mut sam = local(Command::new(&bin), PORT);
    succeed(sam.env("PATH", path).args(["build", "--build-in-source"]))?;
    println!("{:<12} {:>10} {:>10}", "function", "bootstrap", "package");
    for (name, _, _) in FUNCTIONS {
        let folder = root().join(".aws-sam/build").join(name);
        let bootstrap = fs::metadata(folder.join("bootstrap"))?.len();
        let mut whole = bootstrap;
        if let Ok(models) = fs::read_dir(folder.join("models")) {
            for model in models {
                whole += model?.metadata()?.len();
            }
        }
        println!("{name:<12} {:>6.1} MiB {:>6.1} MiB", mib(bootstrap), mib(whole));
        ensure!(whole <= PACKAGE_BUDGET << 20, "{name} weighs more than {PACKAGE_BUDGET} MiB");
    }
    Ok(())
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
