//! A guest made with `xe` on an installed host: it boots, libvirt knows it, it goes to a file and comes back as another one,
//! and it is there again after the host was restarted.

use crate::case::Run;
use crate::host::Host;
use crate::host_checks;
use crate::installation::{Entries, Hardware, Wishes, install};
use crate::qemu::{Bus, Nic};
use crate::tiny_guest;
use anyhow::{Result, ensure};

const NAME: &str = "tiny guest";
/// What the guest writes on its console.
const HELLO: &str = "hello from PVH";

/// Installs, makes guests with `xe`, restarts the host, looks again.
///
/// # Errors
/// What does not work.
pub fn run(run: &mut Run) -> Result<()> {
    let hardware = Hardware {
        uefi: false,
        secure_boot: false,
        bus: Bus::Virtio,
        nic: Nic::Virtio,
        serial: "BPXE01",
    };
    let wishes = Wishes {
        hostname: "bp-xe",
        disk: "match = { serial = \"BPXE01\" }",
        network: "dhcp = true",
        pull_medium: false,
    };
    let installation = install(run, hardware, wishes)?;
    let machine = installation.boot(run, Entries::Lost, "host")?;
    let mut host = Host::come_up(run, machine, &installation.key, None, "first boot")?;

    let initrd = tiny_guest::initrd(run)?;
    host.ssh
        .put(&initrd, "/var/lib/guest.cpio", run.bench.limit(20))?;
    run.look("a PVH guest by vm-install", |run| made(run, &host))?;
    run.look("libvirt knows it", |run| known(run, &host))?;
    run.look("devices while it runs", |run| devices(run, &host))?;
    run.look("snapshot and going back", |run| snapshot(run, &host))?;
    run.look("export and import", |run| exported(run, &host))?;
    run.look("an emulated machine", |run| emulated(run, &host))?;
    say(
        run,
        &host,
        &format!(
            "xe vm-param-set vm='{NAME}' auto-poweron=true && xe vm-start vm='{NAME}' && sync"
        ),
    )?;
    // A kernel that has no file system yet cannot do what it is asked, and is asked once.
    heard(run, &host, NAME)?;

    host.restart(run, None, "second boot")?;
    run.look("the guest is back after the restart", |run| {
        let state = say(
            run,
            &host,
            &format!(
                "for i in $(seq 60); do [ \"$(xe vm-param-get vm='{NAME}' param-name=power-state)\" = running ] && break; \
                 sleep 1; done; xe vm-param-get vm='{NAME}' param-name=power-state"
            ),
        )?;
        ensure!(state.trim() == "running", "it is {state}");
        host_checks::was_shut_down(run, &host.ssh, NAME)?;
        heard(run, &host, NAME)
    })?;
    run.look("everything goes away again", |run| gone(run, &host))?;
    host.power_off(run)
}

/// Runs a command line on the host, keeps what it says in the record.
fn say(run: &mut Run, host: &Host, line: &str) -> Result<String> {
    let limit = run.bench.limit(60);
    let said = host.ssh.run(line, limit)?;
    Ok(said)
}

/// Waits for the guest's voice on the console that `xe` connects.
fn heard(run: &mut Run, host: &Host, name: &str) -> Result<()> {
    // The console wants a terminal, and ends with its input: a pipe that is open at both ends never ends. Nor does `script`
    // when nobody reads what it says any more, so it is ended here.
    let seconds = run.bench.limit(20).as_secs();
    let listen = format!(
        "pipe=$(mktemp -u) && mkfifo $pipe && exec 9<>$pipe && rm $pipe && heard=$(mktemp); \
         timeout {seconds} script -qefc \"xe console vm='{name}'\" /dev/null <&9 >$heard 2>&1 & \
         for i in $(seq {seconds}); do [ $(grep -c '{HELLO},' $heard) -ge 2 ] && break; sleep 1; done; \
         kill $!; grep -m 2 '{HELLO},' $heard || cat $heard; rm $heard"
    );
    let said = say(run, host, &listen)?;
    run.note(said.trim_end());
    ensure!(
        said.matches(&format!("{HELLO},")).count() == 2,
        "{name} should have said hello twice:\n{said}"
    );
    Ok(())
}

fn made(run: &mut Run, host: &Host) -> Result<()> {
    let uuid = say(
        run,
        host,
        &format!(
            "xe vm-install new-name-label='{NAME}' template='Linux PVH' kernel=$(ls /boot/efi/bedplate/*/vmlinuz) \
             ramdisk=/var/lib/guest.cpio args='console=hvc0 quiet -- 36000' memory=192MiB disk-size=64MiB"
        ),
    )?;
    say(run, host, &format!("xe vm-start uuid={}", uuid.trim()))?;
    heard(run, host, NAME)?;
    let told = say(
        run,
        host,
        &format!(
            "xe vm-list uuid={} params=power-state,domain-type --json",
            uuid.trim()
        ),
    )?;
    let told: serde_json::Value = serde_json::from_str(&told)?;
    ensure!(
        told[0]["power-state"] == "running" && told[0]["domain-type"] == "pvh",
        "xe shows another guest: {told}"
    );
    Ok(())
}

fn known(run: &mut Run, host: &Host) -> Result<()> {
    let list = say(run, host, "virsh -q -c xen:///system list --all --name")?;
    ensure!(
        list.lines().any(|line| line.trim() == NAME),
        "virsh does not show it:\n{list}"
    );
    // The other way round: what virsh makes, xe shows, changes and removes.
    say(
        run,
        host,
        &format!(
            "virsh -q -c xen:///system dumpxml --inactive '{NAME}' | sed '/<uuid>/d; /<mac /d; s/{NAME}/by virsh/' > /root/d.xml && \
             virsh -q -c xen:///system define /root/d.xml"
        ),
    )?;
    let value = say(
        run,
        host,
        "xe vm-param-set vm='by virsh' memory-static-max=256MiB other-config:owner=ci && \
         virsh -q -c xen:///system dominfo 'by virsh' | grep -c 'Max memory: *262144 KiB' && \
         xe vm-list other-config:owner=ci params=name-label --minimal && xe vm-destroy vm='by virsh' && xe vm-list --minimal params=name-label",
    )?;
    ensure!(
        value.trim() == format!("1\nby virsh\nDomain-0,{NAME}"),
        "xe and virsh do not agree:\n{value}"
    );
    Ok(())
}

fn devices(run: &mut Run, host: &Host) -> Result<()> {
    let said = say(
        run,
        host,
        &format!(
            "disk=$(xe vm-disk-add vm='{NAME}' disk-size=8MiB device=autodetect) && \
             xe vbd-list vdi-uuid=$disk params=device,currently-attached --minimal && \
             nic=$(xe vif-create vm-uuid='{NAME}' network-uuid=xenbr0) && \
             xe vif-param-get uuid=$nic param-name=currently-attached && xl network-list '{NAME}' | grep -c 00:16:3e && \
             xe vif-destroy uuid=$nic && xe vif-list vm-name-label='{NAME}' --minimal | tr ',' '\\n' | wc -l"
        ),
    )?;
    ensure!(
        said.trim() == "xvdb\ntrue\n2\n1",
        "devices do not come and go:\n{said}"
    );
    Ok(())
}

fn snapshot(run: &mut Run, host: &Host) -> Result<()> {
    let said = say(
        run,
        host,
        &format!(
            "xe vm-shutdown vm='{NAME}' --force && xe vm-disk-remove vm='{NAME}' device=1 && \
             path=$(xe vdi-list vm-name-labels:contains='{NAME}' params=location --minimal) && \
             printf before | dd of=$path conv=notrunc,fsync status=none && \
             snapshot=$(xe vm-snapshot vm='{NAME}' new-name-label=first) && \
             printf behind | dd of=$path conv=notrunc,fsync status=none && \
             xe vm-param-set vm='{NAME}' VCPUs-max=2 && \
             xe snapshot-revert uuid=$snapshot --force && head -c 6 $path && \
             xe vm-param-get vm='{NAME}' param-name=VCPUs-max && xe snapshot-uninstall uuid=$snapshot --force && \
             xe snapshot-list --minimal && lvs --noheadings bedplate | wc -l"
        ),
    )?;
    ensure!(
        said.trim_end() == "before1\n\n1",
        "going back to a snapshot did not work:\n{said}"
    );
    Ok(())
}

fn exported(run: &mut Run, host: &Host) -> Result<()> {
    let said = say(
        run,
        host,
        &format!(
            "xe vm-export vm='{NAME}' filename=/root/guest.xe compress=true && \
             head -c -1000 /root/guest.xe > /root/cut.xe && \
             ! xe vm-import filename=/root/cut.xe new-name-label=cut 2>/root/said && head -c 20 /root/said && echo && \
             ! xe vm-import filename=/root/guest.xe new-name-label=again 2>/root/said && head -c 18 /root/said && echo && \
             xe vm-import filename=/root/guest.xe new-name-label=again trust=true >/dev/null && \
             head -c 6 $(xe vdi-list vm-name-labels:contains=again params=location --minimal) && echo && \
             xe vdi-list --minimal | tr ',' '\\n' | wc -l"
        ),
    )?;
    ensure!(
        said.trim() == "IMPORT_ERROR_CORRUPT\nIMPORT_NOT_TRUSTED\nbefore\n2",
        "the export is not what comes back, or a cut one leaves something behind:\n{said}"
    );
    say(run, host, "xe vm-start vm=again")?;
    heard(run, host, "again")?;
    say(
        run,
        host,
        "xe vm-uninstall vm=again --force 2>&1 || true; xe vm-shutdown vm=again --force && xe vm-uninstall vm=again --force",
    )?;
    Ok(())
}

/// Its firmware finds nothing to boot; that it runs with its devices is what is seen here.
fn emulated(run: &mut Run, host: &Host) -> Result<()> {
    let said = say(
        run,
        host,
        "mkdir -p /srv/iso && head -c 4M /dev/zero > /srv/iso/empty.iso && \
         xe vm-install new-name-label=hvm template='Other install media' cdrom=empty.iso disk-size=16MiB memory=256MiB vcpus=1 >/dev/null && \
         xe vm-start vm=hvm && xl list hvm | tail -1 | tr -s ' ' | cut -d' ' -f1 && \
         virsh -q -c xen:///system vncdisplay hvm && xe vm-cd-eject vm=hvm && xe vbd-list vm-name-label=hvm type=CD params=empty --minimal && \
         xe vm-shutdown vm=hvm --force && xe vm-uninstall vm=hvm --force",
    )?;
    ensure!(
        said.trim() == "hvm\n127.0.0.1:0\ntrue",
        "the emulated machine does not run:\n{said}"
    );
    Ok(())
}

fn gone(run: &mut Run, host: &Host) -> Result<()> {
    let said = say(
        run,
        host,
        &format!(
            "xe vm-shutdown vm='{NAME}' --force && xe vm-uninstall vm='{NAME}' --force && xe vm-list params=name-label --minimal && \
             virsh -q -c xen:///system list --all --name && lvs --noheadings bedplate | wc -l"
        ),
    )?;
    ensure!(
        said.split_whitespace().collect::<Vec<_>>() == ["Domain-0", "Domain-0", "0"],
        "something is left:\n{said}"
    );
    Ok(())
}
