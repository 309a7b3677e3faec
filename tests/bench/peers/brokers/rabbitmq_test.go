package brokers

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/inbox"
	"github.com/57528e99/recount/delivery/rabbitmq"
	"github.com/57528e99/recount/eventstore/memstore"
)

func TestRabbitMQ(t *testing.T) {
	t.Parallel()
	b := startRabbitMQ(t)
	t.Run("suite", b.suite)
	t.Run("no queue", func(t *testing.T) {
		target := b.open(t, "bound", func(d *delivery.Definition) { d.Target.RabbitMQ.RoutingKey = "nowhere" })
		err := target.Deliver(t.Context(), oneEvent())
		if outcome, _ := delivery.OutcomeOf(err); outcome != delivery.PermanentFailure {
			t.Errorf("an event that no queue gets: %s, %v, want permanent", outcome, err)
		}
	})
	t.Run("a killed broker", b.survivesItsBroker)
	t.Run("inbox", b.fillsAnInbox)
	t.Run("inbox of a queue that is deleted", func(t *testing.T) { endsWithItsQueue(t, b) })
}

// endsWithItsQueue: Consume returns if its queue is deleted, although the connection is there.
func endsWithItsQueue(t *testing.T, b *broker) {
	config := b.inbox("deleted")
	config.Name, config.Stream, config.Type = "deleted", "copy-1", "Happened"
	into, err := inbox.New(config, memstore.New(memstore.Config{}), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := amqp.Dial(config.RabbitMQ.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err == nil {
		_, err = ch.QueueDeclare("deleted", true, false, false, false, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- b.consume(t.Context(), into, dialer) }()
	eventually(t, func() error {
		q, err := ch.QueueDeclarePassive("deleted", true, false, false, false, nil)
		if err == nil && q.Consumers == 0 {
			err = errors.New("nobody consumes")
		}
		return err
	})
	if _, err := ch.QueueDelete("deleted", false, false, false); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil || t.Context().Err() != nil {
			t.Errorf("Consume of a queue that is deleted: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Consume of a queue that is deleted does not return")
	}
}

// rabbitServer returns where the server of the system is.
func rabbitServer(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("epmd"); err != nil {
		t.Skip("there is no RabbitMQ here: apt-get install rabbitmq-server")
	}
	found, _ := filepath.Glob("/usr/lib/rabbitmq/bin/rabbitmq-server")
	if len(found) == 0 {
		t.Skip("there is no RabbitMQ here: apt-get install rabbitmq-server")
	}
	return found[0]
}

func startRabbitMQ(t testing.TB) *broker {
	real, err := filepath.EvalSymlinks(rabbitServer(t))
	if err != nil {
		t.Fatal(err)
	}
	control := filepath.Join(filepath.Dir(real), "rabbitmqctl")
	program, dir, port, epmd := rabbitServer(t), t.TempDir(), freePort(t), freePort(t)
	config := fmt.Sprintf("listeners.tcp.default = 127.0.0.1:%d\nloopback_users.guest = true\n", port)
	if err := os.WriteFile(filepath.Join(dir, "rabbitmq.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "HOME="+dir, fmt.Sprintf("RABBITMQ_NODENAME=recount%d@localhost", port), "RABBITMQ_MNESIA_BASE="+dir+"/mnesia", "RABBITMQ_LOG_BASE="+dir,
		"RABBITMQ_CONFIG_FILE="+dir+"/rabbitmq.conf", "RABBITMQ_ENABLED_PLUGINS_FILE="+dir+"/plugins", fmt.Sprintf("RABBITMQ_DIST_PORT=%d", freePort(t)),
		"RABBITMQ_LOGS=-", "RABBITMQ_PID_FILE="+dir+"/pid", fmt.Sprintf("ERL_EPMD_PORT=%d", epmd), "ERL_EPMD_ADDRESS=127.0.0.1")
	run := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(name, args...)
		c.Env = env
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	end := func(c *exec.Cmd) {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		_ = c.Wait()
	}
	names := run("epmd", "-port", fmt.Sprint(epmd), "-address", "127.0.0.1")
	t.Cleanup(func() { end(names) })
	eventually(t, func() error { // or the server would start another, which stays
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", epmd))
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	address := fmt.Sprintf("amqp://127.0.0.1:%d", port)
	var server *exec.Cmd
	start := func() {
		server = run(program)
		eventually(t, func() error {
			conn, err := amqp.Dial(address)
			if err == nil {
				err = conn.Close()
			}
			return err
		})
	}
	kill := func() {
		// RabbitMQ keeps queues that were just declared in memory for a while, durable or not.
		_ = run(control, "eval", "mnesia:sync_log().").Wait()
		end(server)
	}
	start()
	t.Cleanup(func() { kill() })

	channel := func(t testing.TB) (*amqp.Channel, func()) {
		conn, err := amqp.Dial(address)
		if err != nil {
			t.Fatal(err)
		}
		ch, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		return ch, func() { conn.Close() }
	}
	b := &broker{prefix: "cloudEvents:", decode: plain, kill: kill, start: start}
	b.target = func(name string) delivery.TargetConfig {
		return delivery.TargetConfig{RabbitMQ: &delivery.RabbitMQTarget{RabbitMQConnection: delivery.RabbitMQConnection{URL: address}, RoutingKey: name}}
	}
	b.consume = rabbitmq.Consume
	b.inbox = func(name string) delivery.Inbox {
		return delivery.Inbox{RabbitMQ: &delivery.RabbitMQInbox{RabbitMQConnection: delivery.RabbitMQConnection{URL: address}, Queue: name}}
	}
	b.make = func(d delivery.Definition) (delivery.Target, error) {
		ch, closed := channel(t)
		defer closed()
		if name := d.Target.RabbitMQ.RoutingKey; name != "nowhere" {
			if _, err := ch.QueueDeclare(name, true, false, false, false, nil); err != nil {
				return nil, err
			}
		}
		return rabbitmq.New(d, dialer)
	}
	b.read = func(t testing.TB, name string) (list []message) {
		ch, closed := channel(t)
		defer closed()
		for {
			m, ok, err := ch.Get(name, true)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return list
			}
			headers := make(map[string]string)
			for name, value := range m.Headers {
				headers[name] = fmt.Sprint(value)
			}
			if m.MessageId != headers["cloudEvents:id"] || m.DeliveryMode != amqp.Persistent {
				t.Errorf("the message of %s has the id %q and mode %d", headers["cloudEvents:id"], m.MessageId, m.DeliveryMode)
			}
			list = append(list, message{headers, bytes.Clone(m.Body)})
		}
	}
	return b
}
