#!/usr/bin/env bash
# jupyterlab 4.6.6 (@jupyterlab/services 7.6.6) with ipykernel 7.4.0: what a frontend says on a comm
# that it has opened while a cell runs is dropped.
#
# JupyterLab sends what is said on a comm to a subshell of the comm's target, so that the kernel hears
# it while a cell runs. It asks for the subshell when the comm is made; "open" follows at once, before
# there is an answer, so it goes to the main shell, where it waits for the cell. The messages are not
# held back: the subshell hands them out at once, finds no such comm, and forgets them. The first cell
# of a notebook shows a dashboard, the second takes an hour, and both were started by "Run All": all
# that is done on the dashboard in that hour is lost, while a notebook run cell by cell works.
#
# Seen: of two comms, one opened while nothing runs, one while a cell sleeps, each says one thing
#   2 s later, again during a cell: the kernel hears the first, never the second.
set -euo pipefail
work=$(mktemp -d)
trap 'kill %1 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q ipykernel==7.4.0 jupyter_client==8.10.0 jupyter_server==2.21.1
cd "$work"
npm install --silent --no-fund --no-audit @jupyterlab/services@7.6.6 > /dev/null
port=$(python3 -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")
"$work/venv/bin/python" -m jupyter_server --ServerApp.port="$port" --ServerApp.port_retries=0 \
  --ServerApp.open_browser=False --IdentityProvider.token=known --allow-root > server.log 2>&1 &
for _ in $(seq 60); do
  python3 -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/api')" 2> /dev/null && break
  sleep 1
done
cat > speak.js <<'JS'
const { KernelManager, ServerConnection } = require('@jupyterlab/services')
const wait = seconds => new Promise(done => setTimeout(done, 1000 * seconds))
const CELL = `
heard = []

def opened(comm, message):
    comm.on_msg(lambda message: heard.append(message["content"]["data"]))

for name in ("quiet", "busy"):
    get_ipython().kernel.comm_manager.register_target(name, opened)
`
const main = async () => {
  const base = `127.0.0.1:${process.argv[2]}`
  const serverSettings = ServerConnection.makeSettings({
    baseUrl: `http://${base}`, wsUrl: `ws://${base}`, token: 'known', appendToken: true,
  })
  const manager = new KernelManager({ serverSettings })
  const kernel = await manager.startNew({ name: 'python3' })
  const run = code => kernel.requestExecute({ code }).done
  const open = name => {
    const comm = kernel.createComm(name)
    comm.open()
    return comm
  }
  await run(CELL)
  const quiet = open('quiet')
  await wait(2)
  const cell = run('import time; time.sleep(8)')
  await wait(1)
  const busy = open('busy')
  await wait(2)
  quiet.send('from the quiet one')
  busy.send('from the busy one')
  await cell
  await wait(2)
  const asked = kernel.requestExecute({ code: '', user_expressions: { heard: 'heard' } })
  const { content } = await asked.done
  const heard = content.user_expressions.heard.data['text/plain']
  console.log(`comms over subshells: ${quiet.commsOverSubshells}; heard: ${heard}`)
  await kernel.shutdown()
  process.exit(heard === "['from the quiet one']" ? 0 : 1)
}
main()
JS
node speak.js "$port"
