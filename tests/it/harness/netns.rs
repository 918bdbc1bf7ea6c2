//! A network of two: this machine and a namespace, joined by a pair of virtual interfaces that nft, `tc` and `ip` can
//! spoil.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd;
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

    /// Runs `work` to its end on a thread of the far side: its connections begin there, and those to the far side do
    /// not pass the link. Blocks, so that the caller's runtime needs a second thread.
    pub(crate) fn on_far_side<T: Send, F: Future<Output = T>>(&self, work: impl FnOnce() -> F + Send) -> T {
        let file = File::open(Path::new("/run/netns").join(&self.namespace)).unwrap();
        let run = move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work())
        };
        let done = std::thread::scope(|scope| scope.spawn(run).join());
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
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
        self.nft(&format!("{table} {chain} {rule}"));
    }

    /// So many of a hundred packets to and from TCP port `port` of the near side are lost.
    pub(crate) fn lose(&self, percent: u8, port: u16) {
        let chance = format!("numgen random mod 100 < {percent} counter drop");
        self.nft(&format!(
            "add table inet loss; flush table inet loss;\n\
             add chain inet loss input {{ type filter hook input priority 0; }};\n\
             add chain inet loss output {{ type filter hook output priority 0; }};\n\
             add rule inet loss input tcp sport {port} {chance};\n\
             add rule inet loss output tcp dport {port} {chance};\n"
        ));
    }

    /// How many packets were lost by [`Network::lose`].
    pub(crate) fn lost(&self) -> u64 {
        let rules = output(self.command(&self.nft).args(["list", "table", "inet", "loss"]));
        numbers_behind(&rules, "packets").sum()
    }

    /// Nothing is lost by [`Network::lose`] any more.
    pub(crate) fn lose_nothing(&self) {
        self.nft("delete table inet loss;");
    }

    /// What the far side sends passes no faster than `rate`, such as `64kbit`; what does not fit a short queue is lost.
    pub(crate) fn throttle(&self, rate: &str) {
        let bucket = ["root", "tbf", "rate", rate, "burst", "3000", "latency", "400ms"];
        run(self.tc(&["replace", "dev", &self.end("b")]).args(bucket));
    }

    /// How often [`Network::throttle`] held a packet back.
    pub(crate) fn throttled(&self) -> u64 {
        let state = output(Command::new("tc").args(["-s", "-n", &self.namespace, "qdisc", "show"]));
        numbers_behind(&state, "overlimits").sum()
    }

    /// At full speed again.
    pub(crate) fn full_speed(&self) {
        run(&mut self.tc(&["del", "dev", &self.end("b"), "root"]));
    }

    fn tc(&self, words: &[&str]) -> Command {
        let mut command = Command::new("tc");
        command.args(["-n", &self.namespace, "qdisc"]).args(words);
        command
    }

    fn nft(&self, rules: &str) {
        run(self.command(&self.nft).arg(rules));
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
    drop(output(command));
}

/// What `command` says; it must succeed.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every number that stands behind `word`, as nft and `tc` print what they count.
fn numbers_behind<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = u64> + 'a {
    let words = text.split_whitespace();
    words.clone().zip(words.skip(1)).filter(move |(w, _)| *w == word).filter_map(|(_, n)| n.parse().ok())
}
