package containerd

import (
	"reflect"
	"testing"
	"time"

	apievents "github.com/containerd/containerd/api/events"
	bootapi "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	taskapi "github.com/containerd/containerd/api/runtime/task/v3"
	eventsapi "github.com/containerd/containerd/api/services/ttrpc/events/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/api/types/runtimeoptions/v1"
	apitask "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/typeurl/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/bailey-oci/bailey/shim/wire"
)

// What containerd's own code writes is what is read.
func TestRequests(t *testing.T) {
	value := &anypb.Any{TypeUrl: "type", Value: []byte("value")}
	ours := wire.Any{TypeURL: "type", Value: []byte("value")}
	task := wire.Task{ID: "i", ExecID: "e"}
	stdio := wire.Stdio{Stdin: "in", Stdout: "out", Stderr: "err", Terminal: true}
	for _, tc := range []struct {
		theirs proto.Message
		got    wire.Request
		want   wire.Request
	}{
		{&taskapi.CreateTaskRequest{ID: "i", Bundle: "b", Rootfs: []*types.Mount{{Type: "t", Source: "s", Target: "g", Options: []string{"o", "p"}}},
			Terminal: true, Stdin: "in", Stdout: "out", Stderr: "err", Checkpoint: "c", ParentCheckpoint: "p", Options: value},
			new(wire.Create), &wire.Create{ID: "i", Bundle: "b", Rootfs: []wire.Mount{{Type: "t", Source: "s", Target: "g", Options: []string{"o", "p"}}},
				Stdio: stdio, Checkpoint: "c", Options: ours}},
		{&taskapi.ExecProcessRequest{ID: "i", ExecID: "e", Terminal: true, Stdin: "in", Stdout: "out", Stderr: "err", Spec: value},
			new(wire.Exec), &wire.Exec{Task: task, Stdio: stdio, Spec: ours}},
		{&taskapi.StateRequest{ID: "i", ExecID: "e"}, new(wire.Task), &task},
		{&taskapi.StartRequest{ID: "i", ExecID: "e"}, new(wire.Task), &task},
		{&taskapi.DeleteRequest{ID: "i", ExecID: "e"}, new(wire.Task), &task},
		{&taskapi.WaitRequest{ID: "i", ExecID: "e"}, new(wire.Task), &task},
		{&taskapi.ShutdownRequest{ID: "i", Now: true}, new(wire.Task), &wire.Task{ID: "i"}},
		{&taskapi.KillRequest{ID: "i", ExecID: "e", Signal: 9, All: true}, new(wire.Kill), &wire.Kill{Task: task, Signal: 9, All: true}},
		{&taskapi.ResizePtyRequest{ID: "i", ExecID: "e", Width: 80, Height: 1 << 20}, new(wire.Resize), &wire.Resize{Task: task, Width: 80, Height: 1<<16 - 1}},
		{&taskapi.CloseIORequest{ID: "i", ExecID: "e", Stdin: true}, new(wire.CloseIO), &wire.CloseIO{Task: task, Stdin: true}},
		{&taskapi.UpdateTaskRequest{ID: "i", Resources: value, Annotations: map[string]string{"a": "b"}}, new(wire.Update), &wire.Update{ID: "i", Resources: ours}},
		{&taskapi.CheckpointTaskRequest{ID: "i", Path: "p", Options: value}, new(wire.Checkpoint), &wire.Checkpoint{ID: "i", Path: "p", Options: ours}},
		{&options.Options{NoPivotRoot: true, NoNewKeyring: true, ShimCgroup: "c", IoUid: 1, IoGid: 2, BinaryName: "x", Root: "r", SystemdCgroup: true, CriuImagePath: "i", CriuWorkPath: "w"},
			new(wire.Options), &wire.Options{NoPivotRoot: true, NoNewKeyring: true, ShimCgroup: "c", IoUID: 1, IoGID: 2, Root: "r", SystemdCgroup: true, CriuWorkPath: "w"}},
		{&runtimeoptions.Options{TypeUrl: "t", ConfigPath: "p", ConfigBody: []byte("b")}, new(wire.GenericOptions), &wire.GenericOptions{Path: "p", Body: []byte("b")}},
		{&options.CheckpointOptions{Exit: true, OpenTcp: true, ExternalUnixSockets: true, Terminal: true, FileLocks: true, EmptyNamespaces: []string{"n"}, CgroupsMode: "m", ImagePath: "i", WorkPath: "w", ParentPath: "p"},
			new(wire.CheckpointOptions), &wire.CheckpointOptions{Exit: true, OpenTCP: true, ExternalUnixSockets: true, Terminal: true, FileLocks: true, EmptyNamespaces: []string{"n"}, CgroupsMode: "m", ImagePath: "i", WorkPath: "w", ParentPath: "p"}},
		{&bootapi.BootstrapParams{InstanceID: "i", Namespace: "n", LogLevel: bootapi.LogLevel_LOG_LEVEL_DEBUG, ContainerdTtrpcAddress: "t", ContainerdGrpcAddress: "g", SocketDir: new("d"), Extensions: []*bootapi.Extension{{Value: value}}},
			new(wire.Bootstrap), &wire.Bootstrap{ID: "i", Namespace: "n", Debug: true, TTRPCAddress: "t", SocketDir: "d", Extensions: []wire.Any{ours}}},
	} {
		b, err := proto.Marshal(tc.theirs)
		must(t, err)
		must(t, tc.got.Decode(b))
		if !reflect.DeepEqual(tc.got, tc.want) {
			t.Errorf("%T: got %+v, want %+v", tc.theirs, tc.got, tc.want)
		}
	}
}

// What is written is what containerd's own code reads.
func TestResponses(t *testing.T) {
	at := time.Unix(1234, 5678)
	stamp := timestamppb.New(at)
	exit := wire.Exit{PID: 4, Status: 5, At: at}
	details, err := typeurl.MarshalAnyToProto(&options.ProcessDetails{ExecID: "e"})
	must(t, err)
	for _, tc := range []struct {
		ours      []byte
		got, want proto.Message
	}{
		{wire.PID(4).Encode(), new(taskapi.CreateTaskResponse), &taskapi.CreateTaskResponse{Pid: 4}},
		{wire.PID(4).Encode(), new(taskapi.StartResponse), &taskapi.StartResponse{Pid: 4}},
		{wire.Deleted(exit).Encode(), new(taskapi.DeleteResponse), &taskapi.DeleteResponse{Pid: 4, ExitStatus: 5, ExitedAt: stamp}},
		{wire.Waited(exit).Encode(), new(taskapi.WaitResponse), &taskapi.WaitResponse{ExitStatus: 5, ExitedAt: stamp}},
		{(&wire.State{ID: "i", Bundle: "b", ExecID: "e", PID: 4, Status: wire.Paused, Stdio: wire.Stdio{Stdin: "in", Stdout: "out", Stderr: "err", Terminal: true}, Exit: exit}).Encode(),
			new(taskapi.StateResponse), &taskapi.StateResponse{ID: "i", Bundle: "b", ExecID: "e", Pid: 4, Status: apitask.Status_PAUSED, Stdin: "in", Stdout: "out", Stderr: "err", Terminal: true, ExitStatus: 5, ExitedAt: stamp}},
		{wire.Pids{{PID: 1}, {PID: 2, ExecID: "e"}}.Encode(), new(taskapi.PidsResponse), &taskapi.PidsResponse{Processes: []*apitask.ProcessInfo{{Pid: 1}, {Pid: 2, Info: details}}}},
		{wire.Stats{TypeURL: "t", Value: []byte("v")}.Encode(), new(taskapi.StatsResponse), &taskapi.StatsResponse{Stats: &anypb.Any{TypeUrl: "t", Value: []byte("v")}}},
		{wire.Connected{ShimPID: 1, TaskPID: 2, Version: "v"}.Encode(), new(taskapi.ConnectResponse), &taskapi.ConnectResponse{ShimPid: 1, TaskPid: 2, Version: "v"}},
		{(&wire.Bootstrapped{Version: 3, Address: "a", Protocol: "p"}).Encode(), new(bootapi.BootstrapResult), &bootapi.BootstrapResult{Version: 3, Address: "a", Protocol: "p"}},
	} {
		must(t, proto.Unmarshal(tc.ours, tc.got))
		if !proto.Equal(tc.got, tc.want) {
			t.Errorf("%T: got %v, want %v", tc.want, tc.got, tc.want)
		}
	}
}

func TestEventMessages(t *testing.T) {
	at := time.Unix(1234, 5678)
	stamp := timestamppb.New(at)
	exit := wire.Exit{PID: 4, Status: 5, At: at}
	create := &wire.Create{ID: "i", Bundle: "b", Rootfs: []wire.Mount{{Type: "t", Source: "s", Target: "g", Options: []string{"o"}}}, Stdio: wire.Stdio{Stdin: "in", Terminal: true}, Checkpoint: "c"}
	for _, tc := range []struct {
		ours  wire.Event
		topic string
		want  proto.Message
	}{
		{wire.TaskCreate(create, 4), "/tasks/create", &apievents.TaskCreate{ContainerID: "i", Bundle: "b", Rootfs: []*types.Mount{{Type: "t", Source: "s", Target: "g", Options: []string{"o"}}},
			IO: &apievents.TaskIO{Stdin: "in", Terminal: true}, Checkpoint: "c", Pid: 4}},
		{wire.TaskStart("i", 4), "/tasks/start", &apievents.TaskStart{ContainerID: "i", Pid: 4}},
		{wire.TaskDelete("i", exit), "/tasks/delete", &apievents.TaskDelete{ContainerID: "i", Pid: 4, ExitStatus: 5, ExitedAt: stamp}},
		{wire.TaskExit("i", "e", exit), "/tasks/exit", &apievents.TaskExit{ContainerID: "i", ID: "e", Pid: 4, ExitStatus: 5, ExitedAt: stamp}},
		{wire.TaskOOM("i"), "/tasks/oom", &apievents.TaskOOM{ContainerID: "i"}},
		{wire.TaskExecAdded("i", "e"), "/tasks/exec-added", &apievents.TaskExecAdded{ContainerID: "i", ExecID: "e"}},
		{wire.TaskExecStarted("i", "e", 4), "/tasks/exec-started", &apievents.TaskExecStarted{ContainerID: "i", ExecID: "e", Pid: 4}},
		{wire.TaskPaused("i"), "/tasks/paused", &apievents.TaskPaused{ContainerID: "i"}},
		{wire.TaskResumed("i"), "/tasks/resumed", &apievents.TaskResumed{ContainerID: "i"}},
		{wire.TaskCheckpointed("i", "p"), "/tasks/checkpointed", &apievents.TaskCheckpointed{ContainerID: "i", Checkpoint: "p"}},
	} {
		body, err := typeurl.MarshalAnyToProto(tc.want)
		must(t, err)
		want := &eventsapi.ForwardRequest{Envelope: &types.Envelope{Timestamp: stamp, Namespace: "n", Topic: tc.topic, Event: body}}
		got := new(eventsapi.ForwardRequest)
		must(t, proto.Unmarshal(tc.ours.Forward("n", at), got))
		if !proto.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}
