//! `sidelong archive compact`.

use std::io::Write;

use clap::Args;

use super::PlaceArgs;
use crate::cli::source::now;

/// Merge the files of each day that is over into one for each shard.
///
/// The merged file counts from the moment in which it is whole, and only then are those deleted that it stands for: what
/// is stopped half-way loses no sample, and is finished the next time. A Sidelong may go on writing meanwhile.
#[derive(Clone, Debug, Args)]
pub(super) struct CompactArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

pub(super) fn run(args: &CompactArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let done = args.place.open()?.compact(now().0)?;
    writeln!(
        out,
        "{} files of {} bytes became {} bytes in {} partitions",
        done.files, done.bytes_before, done.bytes_after, done.partitions
    )?;
    Ok(())
}
