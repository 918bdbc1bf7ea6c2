//! nginx as a plain reverse proxy.

use super::process::Process;
use super::scratch::Scratch;
use super::sidelong::free_address;
use std::path::Path;
use std::process::Command;

/// Starts one that passes everything on to `behind`; gives its address too.
pub(crate) async fn start(scratch: &Scratch, program: &Path, behind: &str) -> (Process, String) {
    let (address, folder) = (free_address(), scratch.folder("nginx"));
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", folder.display()))
        .collect();
    let config = format!(
        "daemon off; pid {0}/pid; error_log stderr; events {{}}\n\
         http {{ access_log off; {temporary}\n\
         server {{ listen {address}; location / {{ proxy_pass http://{behind}; }}\n\
         location /ready {{ return 200; }} }} }}\n",
        folder.display(),
    );
    let config = scratch.write("nginx.conf", &config);
    let mut command = Command::new(program);
    let process = Process::start(scratch, "nginx", command.arg("-c").arg(config).arg("-p").arg(folder));
    (process.ready(&format!("http://{address}/ready")).await, address)
}
