package brokers

// Collect waits for something that comes, and returns it with what else has come, at most so much. Nil: the channel is closed, or done is.
func Collect[T any](done <-chan struct{}, from <-chan T, most int) []T {
	var list []T
	select {
	case v, ok := <-from:
		if !ok {
			return nil
		}
		list = append(list, v)
	case <-done:
		return nil
	}
	for len(list) < most {
		select {
		case v, ok := <-from:
			if !ok {
				return list
			}
			list = append(list, v)
		default:
			return list
		}
	}
	return list
}
