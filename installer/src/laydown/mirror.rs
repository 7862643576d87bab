//! Step: the arrays of a mirror.

use super::Context;
use slots::layout::PartitionKind;
use slots::mirror::DATA_OFFSET;
use std::path::Path;
use steps::system::{Command, System};
use steps::{Reporter, Step, StepError};

/// Makes an md array of level 1 over each pair of partitions that is mirrored.
pub struct CreateMirror;

impl Step<Context<'_>> for CreateMirror {
    fn id(&self) -> String {
        "mirror".into()
    }

    fn title(&self) -> String {
        "Create the mirror of both disks".into()
    }

    fn run(
        &mut self,
        context: &mut Context<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StepError> {
        let mut all_zero = true;
        for kind in PartitionKind::MIRRORED {
            let zero = make_zero(context, kind);
            all_zero &= zero;
            create(context, kind, zero)?;
        }
        if !all_zero {
            reporter.note(
                "the disks are made equal in the background, also after the restart; either of them starts the host meanwhile",
            );
        }
        Ok(())
    }

    fn cleanup(&mut self, context: &mut Context<'_>) -> Result<(), StepError> {
        context.clean_up()
    }
}

/// Makes the array of that kind. `equal` says that both members hold the same already, so that nothing is copied.
fn create(context: &mut Context<'_>, kind: PartitionKind, equal: bool) -> Result<(), StepError> {
    let offset = format!("--data-offset={}K", DATA_OFFSET / 1024);
    let name = format!("--name={}", kind.name());
    let mut create = Command::new("mdadm")
        .args(["--create", &kind.array_device(), "--run", "--quiet"])
        .args(["--level=1", "--raid-devices=2", "--metadata=1.2"])
        // A half that was away for a while then takes minutes to be whole again, not hours.
        .args([&offset, "--bitmap=internal", "--homehost=any", &name]);
    if equal {
        create = create.arg("--assume-clean");
    }
    for member in &context.members {
        create = create.arg(member.partition(kind));
    }
    context.run(create)?;
    context.arrays.push(kind);
    // udev looks at what is new, and whoever opens it exclusively meanwhile is refused.
    context.run(Command::new("udevadm").args(["settle", "--timeout=60"]))?;
    Ok(())
}

/// Makes both partitions of that kind read as zeros, where the disks do that without writing them: solid-state and thin
/// disks. Then the array is whole from the start. False where one cannot; the array then makes its members equal.
fn make_zero(context: &Context<'_>, kind: PartitionKind) -> bool {
    context.members.iter().all(|member| {
        let disk = member.disk().trim_start_matches("/dev/");
        // A disk that discards does not write zeros block by block, which may take hours.
        let cheap = ["discard_max_bytes", "write_zeroes_max_bytes"]
            .iter()
            .all(|limit| is_positive(context.system, disk, limit));
        let Some(partition) = member.layout.get(kind).filter(|_| cheap) else {
            return false;
        };
        // On a block device this is answered by zeros that the disk makes itself, or refused (`blkdev_fallocate` in
        // Linux block/fops.c).
        let zero = Command::new("fallocate")
            .args(["--punch-hole", "--offset", "0", "--length"])
            .arg(partition.size.to_string())
            .arg(member.partition(kind));
        context.system.run(&zero).is_ok()
    })
}

fn is_positive(system: &dyn System, disk: &str, limit: &str) -> bool {
    let path = format!("/sys/block/{disk}/queue/{limit}");
    let bytes = system.read_file(Path::new(&path)).unwrap_or_default();
    let number = String::from_utf8_lossy(&bytes).trim().parse::<u64>();
    number.is_ok_and(|number| number > 0)
}

impl Context<'_> {
    /// Stops the arrays, so that their superblocks say that everything is written, and the partition tables can be read
    /// anew.
    pub(super) fn stop_arrays(&mut self) -> Result<(), StepError> {
        while let Some(kind) = self.arrays.last() {
            self.run(Command::new("mdadm").args(["--stop", &kind.array_device()]))?;
            self.arrays.pop();
        }
        Ok(())
    }
}
