//! A real S3 server.

use crate::harness::process::Process;
use crate::harness::scratch::Scratch;
use crate::harness::{eventually, free_port};
use sidelong::aws::S3Store;
use sidelong::model::store::{Got, ObjectName, Store};
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::net::TcpStream;

/// What the tools of AWS are told by their environment.
pub(crate) const CREDENTIALS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "sidelong-tests"),
    ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

/// A running versitygw.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) process: Process,
    folder: PathBuf,
    address: String,
}

/// A bucket of it.
pub(crate) struct Bucket {
    pub(crate) store: Store,
    pub(crate) place: String,
}

// === impl Gateway ===

impl Gateway {
    pub(crate) async fn start(scratch: &Scratch, program: &Path) -> Self {
        let (folder, address) = (scratch.folder("buckets"), format!("127.0.0.1:{}", free_port()));
        let [(_, access), (_, secret), _] = CREDENTIALS;
        let mut command = Command::new(program);
        command.args(["--access", access, "--secret", secret, "--port", &address, "posix"]).arg(&folder);
        let process = Process::start(scratch, "versitygw", &mut command);
        eventually("versitygw listens", async || TcpStream::connect(&address).await.ok()).await;
        Self { process, folder, address }
    }

    /// Where it is asked.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the objects of a bucket lie.
    pub(crate) fn objects(&self, bucket: &str) -> PathBuf {
        self.folder.join(bucket)
    }

    /// Makes a bucket: a folder of the gateway's own.
    pub(crate) async fn bucket(&self, name: &str) -> Bucket {
        std::fs::create_dir(self.folder.join(name)).unwrap();
        let place = format!("s3://{name}/models?endpoint=http://{}&region=us-east-1", self.address);
        let [(_, access), (_, secret), _] = CREDENTIALS;
        let store = Store::S3(S3Store::open(&place).unwrap().with_keys(access, secret));
        let probe = ObjectName::parse("none").unwrap();
        eventually("the bucket is there", async || {
            matches!(store.get(&probe, 1, None).await, Ok(Got::Absent)).then_some(())
        })
        .await;
        Bucket { store, place }
    }
}
