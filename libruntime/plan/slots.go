package plan

// uses returns the slots that an action reads.
func uses(a Action) []Slot {
	var slots []Slot
	switch a := a.(type) {
	case JoinNamespace:
		slots = []Slot{a.Slot}
	case JoinContainer:
		slots = []Slot{a.Slot}
	case JoinCgroup:
		slots = []Slot{a.Slot}
	case Clone:
		slots = []Slot{a.Cgroup}
	case EnterTimeNamespace, WriteSysctl, SetExecLabel, LimitNamespaces, Seal, ProveSeal:
		slots = []Slot{SlotProc}
	case AttachRoot, PivotRoot, MoveRoot, Chroot, RemountInPlace, Unmount, MakeDirectory, MakeDevice, MakeSymlink, ReadonlyPath:
		slots = []Slot{SlotRoot}
	case SetMountAttributes:
		slots = []Slot{a.Slot}
	case MapOwners:
		slots = []Slot{a.Slot, a.IDMap}
	case OpenTree:
		slots = []Slot{a.IDMap}
	case MapSource:
		slots = []Slot{a.Slot}
	case NewFilesystemIn:
		slots = []Slot{a.Namespace}
	case WriteSysctlIn:
		slots = []Slot{a.Namespace}
	case Attach:
		slots = []Slot{a.Slot, SlotRoot}
	case MaskPath:
		slots = []Slot{SlotRoot, SlotNull, SlotEmpty}
	case OpenConsole:
		slots = []Slot{a.Devpts}
	case AttachConsole:
		slots = []Slot{SlotConsole, SlotRoot}
	case SendConsole:
		slots = []Slot{SlotConsoleMaster}
	case UseConsole, ReopenConsole:
		slots = []Slot{SlotConsole}
	case RunHook:
		slots = []Slot{SlotState}
	case AwaitStart:
		slots = []Slot{a.Listener}
	}
	if len(slots) > 0 && slots[0] == "" {
		return slots[1:]
	}
	return slots
}

// fills returns the slots that an action fills.
func fills(a Action) []Slot {
	switch a := a.(type) {
	case CreateCgroup:
		var slots []Slot
		for i := range a.Tasks {
			slots = append(slots, cgroupTasks(i))
		}
		if a.Directory {
			slots = append(slots, SlotCgroup)
		}
		return slots
	case OpenNamespace:
		return []Slot{a.Slot}
	case OpenTree:
		return []Slot{a.Slot}
	case MakeUserNamespace:
		return []Slot{a.Slot}
	case OpenDirectory:
		return []Slot{a.Slot}
	case OpenProc:
		return []Slot{SlotProc}
	case NewFilesystem:
		return []Slot{a.Slot}
	case NewDevice:
		return []Slot{a.Slot}
	case NewFilesystemIn:
		return []Slot{a.Slot}
	case NewOverlay:
		return []Slot{a.Slot}
	case OpenMount:
		return []Slot{a.Slot}
	case OpenConsole:
		return []Slot{SlotConsole, SlotConsoleMaster}
	case SendState, AwaitStart:
		// start brings a new state, which replaces that of create.
		return []Slot{SlotState}
	}
	return nil
}
