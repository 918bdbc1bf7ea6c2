//! Sidelong itself, as it was built.

use super::netns::Network;
use super::process::Process;
use super::scratch::Scratch;
use super::{eventually, free_port, http};
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::net::TcpStream;

/// A running `sidelong run`.
#[derive(Debug)]
pub(crate) struct Sidelong {
    pub(crate) process: Process,
    /// The data listener, host and port.
    pub(crate) address: String,
    /// The admin listener, host and port.
    pub(crate) admin: String,
    /// The configuration file.
    pub(crate) config: PathBuf,
}

// === impl Sidelong ===

impl Sidelong {
    /// Starts one with this configuration and waits until it is ready.
    pub(crate) async fn start(scratch: &Scratch, config: &str) -> Self {
        Self::start_at(scratch, config, &free_address()).await
    }

    /// The same on an address that the configuration of something else names already.
    pub(crate) async fn start_at(scratch: &Scratch, config: &str, address: &str) -> Self {
        Self::launch(scratch, config, address, Command::new(PROGRAM)).await
    }

    /// Started by `launcher`, which runs the program and arguments that follow its own.
    pub(crate) async fn start_by(scratch: &Scratch, config: &str, mut launcher: Command) -> Self {
        launcher.arg(PROGRAM);
        Self::launch(scratch, config, &free_address(), launcher).await
    }

    /// With TLS or passwords on the listeners, by the web configuration file `web`.
    pub(crate) async fn start_with_web(scratch: &Scratch, config: &str, web: &Path) -> Self {
        let web = format!("--web.config.file={}", web.display());
        let (address, admin) = (free_address(), free_address());
        let mut sidelong = Self::spawn(scratch, config, &address, &admin, Command::new(PROGRAM), &[&web]);
        eventually("the listener is there", async || TcpStream::connect(&address).await.ok()).await;
        assert!(sidelong.process.running(), "it has ended");
        sidelong
    }

    /// On the far side of a network.
    pub(crate) async fn start_in(scratch: &Scratch, config: &str, network: &Network) -> Self {
        let address = |port: u16| format!("{}:{port}", network.far());
        Self::spawn(scratch, config, &address(10_990), &address(10_991), network.command(PROGRAM), &[])
            .become_ready()
            .await
    }

    async fn launch(scratch: &Scratch, config: &str, address: &str, command: Command) -> Self {
        Self::spawn(scratch, config, address, &free_address(), command, &[]).become_ready().await
    }

    async fn become_ready(self) -> Self {
        let Self { process, address, admin, config } = self;
        let process = process.ready(&format!("http://{address}/-/ready")).await;
        Self { process, address, admin, config }
    }

    fn spawn(
        scratch: &Scratch,
        config: &str,
        address: &str,
        admin: &str,
        mut command: Command,
        more: &[&str],
    ) -> Self {
        let name = format!("sidelong-{}", address.rsplit(':').next().unwrap_or_default());
        let config = scratch.write(&format!("{name}.yml"), &listening(config, address, admin));
        command
            .arg("run")
            .arg(format!("--config={}", config.display()))
            .arg("--web.enable-lifecycle")
            .args(more);
        let process = Process::start(scratch, &name, &mut command);
        Self { process, address: address.to_owned(), admin: admin.to_owned(), config }
    }

    /// Writes another configuration, which is not loaded before it is asked for.
    pub(crate) fn write_config(&self, config: &str) {
        std::fs::write(&self.config, listening(config, &self.address, &self.admin)).unwrap();
    }

    /// Writes another configuration and has it loaded; gives the answer of that.
    pub(crate) async fn reload(&self, config: &str) -> http::Answer {
        self.write_config(config);
        http::post(&format!("http://{}/-/reload", self.admin), &[], "").await.unwrap()
    }

    /// A page of the admin listener.
    pub(crate) async fn page(&self, path: &str) -> String {
        http::get(&format!("http://{}{path}", self.admin)).await.unwrap().text()
    }

    /// The sum of all series of its own metric `name` whose labels hold `label` (`reason="limit"`, or nothing).
    pub(crate) async fn metric(&self, name: &str, label: &str) -> f64 {
        let page = self.page("/metrics").await;
        let values = page.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (base, labels) = series.split_once('{').unwrap_or((series, ""));
            (base == name && labels.contains(label)).then(|| value.parse::<f64>().unwrap())
        });
        values.sum()
    }

    /// Waits until that sum is at least `least`.
    pub(crate) async fn metric_reaches(&self, name: &str, label: &str, least: f64) {
        eventually(&format!("{name}{{{label}}} is at least {least}"), async || {
            (self.metric(name, label).await >= least).then_some(())
        })
        .await;
    }

    /// A URL of the data listener.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// The configuration with the listeners' addresses, which the tests alone need to set.
fn listening(config: &str, address: &str, admin: &str) -> String {
    let listen = format!("listen: '{address}', admin_listen: '{admin}'");
    match config.contains("server: {") {
        true => config.replace("server: {", &format!("server: {{{listen}, ")),
        false => format!("{config}server: {{{listen}}}\n"),
    }
}

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_sidelong");

pub(crate) fn free_address() -> String {
    format!("127.0.0.1:{}", free_port())
}
