//! A network of two: this machine and a namespace, joined by a pair of virtual interfaces that nft and `ip` can spoil.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

/// The far side of the network; dropped = gone, and the link with it.
#[derive(Debug)]
pub(crate) struct Network {
    namespace: String,
    nft: PathBuf,
    number: u8,
}

// === impl Network ===

impl Network {
    /// Makes one. `nft` is the program that [`super::tools`] found, which has asked for root too.
    pub(crate) fn new(nft: &Path) -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("sl{}-{number}", std::process::id());
        let network = Self { namespace, nft: nft.to_owned(), number };
        network.build();
        network
    }

    /// The address of the near side.
    pub(crate) fn near(&self) -> String {
        format!("{}.1", self.prefix())
    }

    /// The address of the far side.
    pub(crate) fn far(&self) -> String {
        format!("{}.2", self.prefix())
    }

    /// A command that runs on the far side.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program);
        command
    }

    /// Names on the far side are looked up at `server` from now on, by the convention of `ip netns exec`.
    pub(crate) fn resolve_by(&self, server: &str) {
        std::fs::create_dir_all(self.etc()).unwrap();
        std::fs::write(self.etc().join("resolv.conf"), format!("nameserver {server}\n")).unwrap();
    }

    fn etc(&self) -> PathBuf {
        Path::new("/etc/netns").join(&self.namespace)
    }

    /// Takes the link down or up: nothing passes, and nobody is told.
    pub(crate) fn link(&self, state: &str) {
        run(Command::new("ip").args(["-n", &self.namespace, "link", "set", &self.end("b"), state]));
    }

    /// A rule for what arrives on the far side, such as `tcp dport 80 drop`; an empty one takes all rules away.
    pub(crate) fn rule(&self, rule: &str) {
        let table = "add table inet faults; flush table inet faults;";
        let chain = "add chain inet faults input { type filter hook input priority 0; };";
        let rule =
            if rule.is_empty() { String::new() } else { format!("add rule inet faults input {rule};") };
        run(self.command(&self.nft).arg(format!("{table} {chain} {rule}")));
    }

    fn build(&self) {
        let (a, b, name) = (self.end("a"), self.end("b"), &*self.namespace);
        let (near, far) = (format!("{}/30", self.near()), format!("{}/30", self.far()));
        let ip = |words: &[&str]| run(Command::new("ip").args(words));
        ip(&["netns", "add", name]);
        ip(&["link", "add", &a, "type", "veth", "peer", "name", &b, "netns", name]);
        ip(&["addr", "add", &near, "dev", &a]);
        ip(&["link", "set", &a, "up"]);
        ip(&["-n", name, "addr", "add", &far, "dev", &b]);
        ip(&["-n", name, "link", "set", &b, "up"]);
        ip(&["-n", name, "link", "set", "lo", "up"]);
    }

    /// Four addresses of their own for each network of this process, and likely not another process's.
    fn prefix(&self) -> String {
        format!("10.{}.{}", 64 + std::process::id() % 60, self.number)
    }

    /// Interface names hold at most 15 bytes.
    fn end(&self, side: &str) -> String {
        format!("sl{}{side}{}", std::process::id() % 1_000_000, self.number)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The near end goes with the far one.
        let _none = std::fs::remove_dir_all(self.etc());
        let _gone = Command::new("ip").args(["netns", "del", &self.namespace]).status();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
