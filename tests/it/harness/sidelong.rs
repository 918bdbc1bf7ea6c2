//! Sidelong itself, as it was built.

use super::free_port;
use super::netns::Network;
use super::process::Process;
use super::scratch::Scratch;
use std::process::Command;

/// A running `sidelong run`.
#[derive(Debug)]
pub(crate) struct Sidelong {
    pub(crate) process: Process,
    /// The data listener, host and port.
    pub(crate) address: String,
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

    /// On the far side of a network.
    pub(crate) async fn start_in(scratch: &Scratch, config: &str, network: &Network) -> Self {
        let address = |port: u16| format!("{}:{port}", network.far());
        Self::spawn(scratch, config, &address(10_990), &address(10_991), network.command(PROGRAM))
            .become_ready()
            .await
    }

    async fn launch(scratch: &Scratch, config: &str, address: &str, command: Command) -> Self {
        Self::spawn(scratch, config, address, &free_address(), command).become_ready().await
    }

    async fn become_ready(self) -> Self {
        let Self { process, address } = self;
        let process = process.ready(&format!("http://{address}/-/ready")).await;
        Self { process, address }
    }

    fn spawn(scratch: &Scratch, config: &str, address: &str, admin: &str, mut command: Command) -> Self {
        let name = format!("sidelong-{}", address.rsplit(':').next().unwrap_or_default());
        let config = scratch.write(&format!("{name}.yml"), &listening(config, address, admin));
        command.arg("run").arg(format!("--config={}", config.display()));
        let process = Process::start(scratch, &name, &mut command);
        Self { process, address: address.to_owned() }
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
